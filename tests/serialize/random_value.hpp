// Random values of anything that can be sent.
#pragma once

#include "kinds.hpp"
#include "zoo.hpp"

namespace zoo {

namespace detail = asyncio::detail;

class RandomValues {
public:
    explicit RandomValues(const Below& below) : below_(below) {}

    template <class T>
    T make() {
        auto value = T();
        fill(value);
        return value;
    }

private:
    // Recursive types would have no end without it.
    static constexpr int depth_max = 6;

    std::size_t below(std::size_t n) { return below_(n); }

    template <class T>
    void fill(T& value) {
        ++depth_;
        if constexpr (std::is_same_v<T, bool>) {
            value = below(2) == 0;
        } else if constexpr (std::is_enum_v<T>) {
            value = static_cast<T>(make<std::underlying_type_t<T>>());
        } else if constexpr (std::is_floating_point_v<T>) {
            constexpr T special[] = {0, -0.0F, std::numeric_limits<T>::infinity(),
                                     std::numeric_limits<T>::quiet_NaN(),
                                     std::numeric_limits<T>::denorm_min()};
            value = below(3) == 0 ? special[below(std::size(special))]
                                  : static_cast<T>(make<std::int32_t>()) / 3;
        } else if constexpr (std::is_integral_v<T>) {
            for (std::size_t i = 0; i < sizeof(T); ++i) {
                value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | below(256));
            }
        } else if constexpr (detail::Complex<T>) {
            value = T(make<typename T::value_type>(), make<typename T::value_type>());
        } else if constexpr (detail::is_duration<T>) {
            value = T(make<typename T::rep>());
        } else if constexpr (detail::AnyTimePoint<T>) {
            value = T(make<typename T::duration>());
        } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
            value = std::string(make<String>());
        } else if constexpr (detail::is_bitset<T>) {
            value = T(below(std::size_t{1} << value.size()));
        } else if constexpr (std::is_same_v<T, Account>) {
            value = Account(make<String>(), make<int>());
        } else if constexpr (std::is_same_v<T, Fraction>) {
            value = Fraction(make<int>(), make<int>() | 1);
        } else if constexpr (std::is_same_v<T, Named>) {
            static_cast<Fraction&>(value) = make<Fraction>();
            value.name = make<String>();
        } else if constexpr (detail::Optional<T> || detail::is_unique_ptr<T>) {
            if (depth_ < depth_max && below(3) > 0) {
                fill_pointed(value);
            }
        } else if constexpr (detail::Variant<T>) {
            fill_alternative(value, below(std::variant_size_v<T>),
                             std::make_index_sequence<std::variant_size_v<T>>());
        } else if constexpr (detail::Tuple<T>) {
            std::apply([&](auto&... part) { (fill(part), ...); }, value);
        } else if constexpr (detail::is_array<T>) {
            for (auto& element : value) {
                fill(element);
            }
        } else if constexpr (detail::Sequence<T>) {
            const std::size_t count = depth_ > depth_max ? 0 : below(5);
            for (std::size_t i = 0; i < count; ++i) {
                value.insert(value.end(),
                             make<typename detail::Element<typename T::value_type>::type>());
            }
        } else {
            detail::with_members(value, [&](auto&... member) { (fill(member), ...); });
        }
        --depth_;
    }

    template <class T>
    void fill_pointed(std::optional<T>& value) {
        fill(value.emplace());
    }
    template <class T>
    void fill_pointed(std::unique_ptr<T>& value) {
        value = std::make_unique<T>(make<T>());
    }
    template <class T, std::size_t... i>
    void fill_alternative(T& value, std::size_t index, std::index_sequence<i...>) {
        ((i == index ? fill(value.template emplace<i>()) : void()), ...);
    }

    const Below& below_;
    int depth_ = 0;
};

}  // namespace zoo
