// gather: run awaitables concurrently and collect their results in order.
#pragma once

#include <asyncio/outcome.hpp>
#include <asyncio/task.hpp>

#include <iterator>
#include <memory>
#include <span>
#include <tuple>
#include <variant>
#include <vector>

namespace asyncio::inline v0 {

/// First argument of `gather`: errors and cancellations of the children become values, each an
/// `Outcome<T>`.
struct return_exceptions_t {
    explicit return_exceptions_t() = default;
};
inline constexpr return_exceptions_t return_exceptions{};

namespace detail {

class GatherBase;

// One child of a gather: the node that waits in the child's list of callbacks.
struct GatherChild : Runnable {
    GatherChild() noexcept : Runnable(&GatherChild::run) {}
    ASYNCIO_API static void run(Runnable& self, Turn turn);

    StatePtr<FutureState> future;
    GatherBase* parent = nullptr;
    // False for a second mention of a future that is in the list already.
    bool counted = true;
    // The result may be moved out: the caller gave its handle away.
    bool movable = false;
};

// The future that gather returns (`_GatheringFuture`).
//
// Invariants:
//  1. While `unfinished_` is not zero the object holds a reference of itself: children report to
//     it although nobody may wait for it any more.
//  2. A child that is not done has its node in that child's callbacks.
class ASYNCIO_API GatherBase : public FutureState, public CompositeNode {
public:
    bool cancel(const CancelMessage& message) override;
    const char* type_name() const noexcept override { return "_GatheringFuture"; }
    void detach() noexcept override;

    std::span<GatherChild> children() noexcept { return {children_.get(), child_count_}; }

    // Registers with the children, in order; those that are done report before this returns.
    void begin();

    GatherBase(EventLoop& loop, std::size_t child_count, bool return_exceptions,
               std::source_location here);

protected:
    ~GatherBase() override;

    // Every child is done and the results are wanted: fills the slot. May throw.
    virtual void collect() = 0;

private:
    friend struct GatherChild;
    friend struct CancelWalk;
    friend struct InspectLayout;
    void child_done(GatherChild& child);
    void report_done_children();
    void fail(std::exception_ptr error) noexcept;
    void complete();

    std::unique_ptr<GatherChild[]> children_;
    std::size_t child_count_;
    std::size_t unfinished_ = 0;
    bool return_exceptions_;
};

template <class T>
using void_to_monostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class A>
inline constexpr bool is_future_handle = std::derived_from<std::remove_cvref_t<A>, AnyFuture>;

template <class A>
concept Gatherable = CoroLike<A> || is_future_handle<A>;

template <class A>
struct GatherValue {
    using type = coro_value_t<A>;
};
template <class A>
    requires is_future_handle<A>
struct GatherValue<A> {
    using type = typename std::remove_cvref_t<A>::value_type;
};
template <class A>
using gather_value_t = typename GatherValue<A>::type;

// Makes a child of an argument. A coroutine becomes a task.
template <class A>
void adopt_child(EventLoop& loop, GatherChild& child, A&& argument, std::source_location here) {
    if constexpr (is_future_handle<A>) {
        child.future = StatePtr<FutureState>(&HandleAccess::state(argument));
        child.movable = !std::is_lvalue_reference_v<A>;
        if (child.movable) {
            [[maybe_unused]] const auto given_away = std::forward<A>(argument);
        }
    } else {
        auto coro = to_coro(std::forward<A>(argument));
        auto task = spawn(loop, coro, here);
        child.future = StatePtr<FutureState>(&HandleAccess::state(task));
        child.future->set_log_destroy_pending(false);
        child.movable = true;
    }
}

// A child's value: moved if nobody else can ask for it, else copied.
template <class T>
void_to_monostate<T> take_value(GatherChild& child) {
    child.future->check_result();
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        Slot<T>& slot = HandleAccess::slot<T>(*child.future);
        if constexpr (copyable_result<T>) {
            if (!child.movable || child.future->refs() > 1) {
                return slot.value;
            }
        }
        child.future->set_moved();
        return std::move(slot.value);
    }
}

ASYNCIO_API std::exception_ptr gathered_error(GatherChild& child);

template <class T>
Outcome<T> take_outcome(GatherChild& child) {
    if (child.future->has_value()) {
        if constexpr (std::is_void_v<T>) {
            return Outcome<T>(std::in_place);
        } else {
            return Outcome<T>(take_value<T>(child));
        }
    }
    return child.future->cancelled() ? Outcome<T>::cancellation(gathered_error(child))
                                     : Outcome<T>::failure(gathered_error(child));
}

template <class Result, class Collect>
class GatherStateOf final : public FutureStateOf<Result, GatherBase> {
public:
    GatherStateOf(EventLoop& loop, std::size_t count, bool return_exceptions,
                  std::source_location here)
        : FutureStateOf<Result, GatherBase>(loop, count, return_exceptions, here) {}

private:
    void collect() override { this->emplace(Collect()(this->children())); }
};

template <class T, bool outcomes>
struct CollectVector {
    using Element = std::conditional_t<outcomes, Outcome<T>, void_to_monostate<T>>;
    std::vector<Element> operator()(std::span<GatherChild> children) const {
        std::vector<Element> results;
        results.reserve(children.size());
        for (GatherChild& child : children) {
            if constexpr (outcomes) {
                results.push_back(take_outcome<T>(child));
            } else {
                results.push_back(take_value<T>(child));
            }
        }
        return results;
    }
};

template <bool outcomes, class... Ts>
struct CollectTuple {
    template <class T>
    using Element = std::conditional_t<outcomes, Outcome<T>, void_to_monostate<T>>;
    std::tuple<Element<Ts>...> operator()(std::span<GatherChild> children) const {
        std::size_t index = 0;
        // Braces: evaluated left to right.
        return std::tuple<Element<Ts>...>{take<Ts>(children[index++])...};
    }
    template <class T>
    static Element<T> take(GatherChild& child) {
        if constexpr (outcomes) {
            return take_outcome<T>(child);
        } else {
            return take_value<T>(child);
        }
    }
};

// The loop of a gather: that of its first future, else the running one.
ASYNCIO_API EventLoop& gather_loop(const AnyFuture* first);
[[noreturn]] ASYNCIO_API void throw_different_loops();

template <class A>
void check_same_loop(EventLoop& loop, const A& argument) {
    if constexpr (is_future_handle<A>) {
        if (&argument.get_loop() != &loop) {
            throw_different_loops();
        }
    }
}

template <class A>
const AnyFuture* as_future(const A& argument) {
    if constexpr (is_future_handle<A>) {
        return &argument;
    } else {
        return nullptr;
    }
}

template <class A>
void close_if_coro(A& argument) noexcept {
    if constexpr (is_coro<A>) {
        argument.close();
    }
}

template <bool outcomes, class... Aws>
auto gather_tuple(std::source_location here, Aws&&... aws) {
    using Collect = CollectTuple<outcomes, gather_value_t<Aws>...>;
    using Result = std::invoke_result_t<Collect, std::span<GatherChild>>;
    using State = GatherStateOf<Result, Collect>;
    StatePtr<State> state;
    try {
        const AnyFuture* first = nullptr;
        ((first = first != nullptr ? first : as_future(aws)), ...);
        EventLoop& loop = gather_loop(first);
        (check_same_loop(loop, aws), ...);
        state = StatePtr<State>(new State(loop, sizeof...(Aws), outcomes, here));
        std::size_t index = 0;
        (adopt_child(loop, state->children()[index++], std::forward<Aws>(aws), here), ...);
    } catch (...) {
        (close_if_coro(aws), ...);
        throw;
    }
    state->begin();
    return HandleAccess::make<Future<Result>>(state.get());
}

// As std::ranges::forward_range, without the cost of including <ranges>.
template <class R>
using range_reference_t = decltype(*std::begin(std::declval<R&>()));
template <class R>
concept IterableTwice = requires(R& range) {
    requires std::forward_iterator<decltype(std::begin(range))>;
    { std::begin(range) != std::end(range) } -> std::convertible_to<bool>;
};

template <bool outcomes, class Range>
auto gather_elements(std::source_location here, Range&& range) {
    using Reference = range_reference_t<Range>;
    // Elements of an lvalue range of coroutines are consumed, as a list's are in Python.
    using Given =
        std::conditional_t<std::is_lvalue_reference_v<Range> && is_future_handle<Reference>,
                           Reference, std::remove_cvref_t<Reference>&&>;
    using Collect = CollectVector<gather_value_t<std::remove_cvref_t<Reference>>, outcomes>;
    using Result = std::invoke_result_t<Collect, std::span<GatherChild>>;
    using State = GatherStateOf<Result, Collect>;
    StatePtr<State> state;
    try {
        std::size_t count = 0;
        const AnyFuture* first = nullptr;
        for (auto&& element : range) {
            ++count;
            first = first != nullptr ? first : as_future(element);
        }
        EventLoop& loop = gather_loop(first);
        for (auto&& element : range) {
            check_same_loop(loop, element);
        }
        state = StatePtr<State>(new State(loop, count, outcomes, here));
        std::size_t index = 0;
        for (auto&& element : range) {
            adopt_child(loop, state->children()[index++], static_cast<Given>(element), here);
        }
    } catch (...) {
        for (auto&& element : range) {
            close_if_coro(element);
        }
        throw;
    }
    state->begin();
    return HandleAccess::make<Future<Result>>(state.get());
}

template <bool outcomes, class Range>
auto gather_range(std::source_location here, Range&& range) {
    using Reference = range_reference_t<Range>;
    if constexpr (std::is_reference_v<Reference>) {
        return gather_elements<outcomes>(here, std::forward<Range>(range));
    } else {
        // A view that makes its elements makes new ones each time it is read.
        std::vector<Reference> elements;
        for (Reference element : range) {
            elements.push_back(std::move(element));
        }
        return gather_elements<outcomes>(here, std::move(elements));
    }
}

template <class R>
concept GatherableRange = IterableTwice<R> && Gatherable<std::remove_cvref_t<range_reference_t<R>>>;

}  // namespace detail

/// Runs coroutines and futures concurrently. Coroutines become tasks at once; the result is a
/// future of a tuple, in the order of the arguments, with std::monostate for void.
///
/// The first exception of a child completes the gather; the other children go on. Cancelling the
/// gather cancels every child. A future given twice runs once and its result appears twice.
/// Results are copied out of futures given as lvalues, and moved from all others.
///
/// Raises: ValueError for futures of different loops; RuntimeError for coroutines without a
/// running loop. Cost: one allocation and one hop through the ready queue for each child.
/// Source: S104 to S119.
template <detail::Gatherable... Aws>
auto gather(Aws&&... aws) {
    // The call site is unknown; reports show the functions of the coroutines.
    return detail::gather_tuple<false>(std::source_location(), std::forward<Aws>(aws)...);
}

/// With `return_exceptions` every element is an `Outcome<T>`.
template <detail::Gatherable... Aws>
auto gather(return_exceptions_t, Aws&&... aws) {
    return detail::gather_tuple<true>(std::source_location(), std::forward<Aws>(aws)...);
}

/// Gathers a range of coroutines or futures into a vector. Coroutines are moved out of the range.
template <detail::GatherableRange Range>
auto gather(Range&& range, std::source_location here = std::source_location::current()) {
    return detail::gather_range<false>(here, std::forward<Range>(range));
}

template <detail::GatherableRange Range>
auto gather(return_exceptions_t, Range&& range,
            std::source_location here = std::source_location::current()) {
    return detail::gather_range<true>(here, std::forward<Range>(range));
}

// Says what is wrong with arguments that none of the forms above takes.
template <class First, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<First>, return_exceptions_t> &&
             !detail::GatherableRange<First> &&
             !(detail::Gatherable<First> && ... && detail::Gatherable<Rest>))
void gather(First&&, Rest&&...) {
    static_assert(sizeof(First) == 0,
                  "gather takes coroutines, tasks and futures, or one range of them; behind "
                  "asyncio::return_exceptions, if their errors are to be values");
}

}  // namespace asyncio::inline v0
