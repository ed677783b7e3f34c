// Contexts: a slot for the current one, and copy on write.
#include <asyncio/context.hpp>
#include <asyncio/driver.hpp>

#include <algorithm>
#include <vector>

namespace asyncio::inline v0 {

namespace detail {

// One immutable state of a context: a flat map ordered by the address of the key.
struct ContextMapping {
    struct Entry {
        std::shared_ptr<const ContextKey> key;
        ContextValue value;
    };
    std::vector<Entry> entries;
};

namespace {

using Entries = std::vector<ContextMapping::Entry>;

template <class Container>
auto find_entry(Container& entries, const ContextKey* key) noexcept {
    return std::lower_bound(entries.begin(), entries.end(), key,
                            [](const ContextMapping::Entry& entry, const ContextKey* wanted) {
                                return std::less<>()(entry.key.get(), wanted);
                            });
}

// Lets go of the values that a thread has set outside of every task and callback.
struct ThreadContextOwner {
    ThreadContextOwner() = default;
    ThreadContextOwner(const ThreadContextOwner&) = delete;
    ThreadContextOwner& operator=(const ThreadContextOwner&) = delete;
    ~ThreadContextOwner() { const ContextPtr ended(std::exchange(thread_state.context, nullptr)); }
};

}  // namespace

ContextValue context_lookup(const ContextKey& key) noexcept {
    const ContextData* const data = current_context_slot();
    if (data == nullptr || data->mapping == nullptr) {
        return nullptr;
    }
    const Entries& entries = data->mapping->entries;
    const auto found = find_entry(entries, &key);
    return found != entries.end() && found->key.get() == &key ? found->value : nullptr;
}

void context_assign(const std::shared_ptr<const ContextKey>& key, ContextValue value) {
    ContextData*& slot = current_context_slot();
    if (slot == nullptr) {
        slot = new ContextData(nullptr);
        [[maybe_unused]] static thread_local const ThreadContextOwner owner;
    }
    auto mapping = std::make_shared<ContextMapping>();
    if (slot->mapping != nullptr) {
        mapping->entries = slot->mapping->entries;
    }
    Entries& entries = mapping->entries;
    const auto found = find_entry(entries, key.get());
    const bool present = found != entries.end() && found->key == key;
    if (value == nullptr) {
        if (present) {
            entries.erase(found);
        }
    } else if (present) {
        found->value = std::move(value);
    } else {
        entries.insert(found, {key, std::move(value)});
    }
    slot->mapping = entries.empty() ? nullptr : std::move(mapping);
}

ContextPtr current_context() noexcept {
    ContextData* const data = current_context_slot();
    if (data != nullptr) {
        data->retain();
    }
    return ContextPtr(data);
}

ContextPtr copy_context_data(const ContextData& data) {
    return ContextPtr(new ContextData(data.mapping));
}

ContextScope::ContextScope(ContextPtr context) noexcept
    : outer_(std::exchange(current_context_slot(), context.leak())) {}

ContextScope::~ContextScope() {
    const ContextPtr ended(std::exchange(current_context_slot(), outer_));
}

}  // namespace detail

Context::Context() : data_(new detail::ContextData(nullptr)) {}

Context Context::copy() const { return Context(detail::copy_context_data(*data_.get())); }

std::size_t Context::size() const noexcept {
    const auto& mapping = data_.get()->mapping;
    return mapping == nullptr ? 0 : mapping->entries.size();
}

Context copy_context() {
    detail::ContextPtr data = detail::copy_current_context();
    return data ? detail::ContextAccess::make(std::move(data)) : Context();
}

}  // namespace asyncio::inline v0
