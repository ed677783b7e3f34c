// Queues between tasks: first in first out, last in first out, and by priority.
#pragma once

#include <asyncio/locks.hpp>

#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

namespace asyncio::inline v0 {

struct QueueStatistics {
    std::size_t size = 0;
    std::size_t maxsize = 0;  ///< 0: without a bound
    std::size_t unfinished_tasks = 0;
    std::size_t getters_waiting = 0;
    std::size_t putters_waiting = 0;
};

namespace detail {

// What queues of every type and order share.
//
// Invariants:
//  1. The lines hold the tasks that wait; those that were woken or cancelled have left them.
//  2. `finished_` is set exactly while `unfinished_tasks_` is 0.
class ASYNCIO_API QueueCore : private LoopBound {
public:
    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;

    /// 0 means that the queue has no bound.
    std::size_t maxsize() const noexcept { return maxsize_; }
    /// Tells that an item that was taken is dealt with. Raises: ValueError if it is called more
    /// often than items were put.
    void task_done();
    /// Waits until every item that was put is dealt with. Cancel safety: nothing is changed.
    Event::Wait join() noexcept { return finished_.wait(); }

protected:
    class Place;
    using Line = IntrusiveList<LineWaiter>;

    explicit QueueCore(std::size_t maxsize) noexcept : maxsize_(maxsize) { finished_.set(); }
    ~QueueCore() = default;

    static void wake_next(Line& line) noexcept;
    void item_added() noexcept {
        if (unfinished_tasks_++ == 0) {
            finished_.clear();
        }
        wake_next(getters_);
    }
    void items_dropped(std::size_t count) noexcept;
    void wake_all() noexcept;
    QueueStatistics statistics_of(std::size_t size) const noexcept;
    std::string describe(const char* type, std::size_t size) const;
    [[noreturn]] static void throw_empty();
    [[noreturn]] static void throw_full();
    [[noreturn]] static void throw_shut_down();

    Line getters_;
    Line putters_;
    std::size_t maxsize_;
    std::size_t unfinished_tasks_ = 0;
    Event finished_;
    bool shut_down_ = false;
};

// A task in one of the lines. When it is woken, somebody else may have been faster, and then it
// goes to the end of the line again. That is decided before its coroutine is resumed, by a stand-in
// for a coroutine that would look again: the innermost frame of the task, but part of the awaiter.
//
// Invariants:
//  1. `stand_in_` is alive from the suspension on, and only then; `waiting_` until the coroutine
//     is resumed.
//  2. It begins as coroutine frames do, with the functions that resume and destroy it, followed by
//     the promise.
class ASYNCIO_API QueueCore::Place : public LineWaiter {
public:
    Place(QueueCore& core, Line QueueCore::* line, std::source_location function) noexcept
        : core_(core), line_(line), function_(function) {}

    template <std::derived_from<Frame> P>
    void await_suspend(std::coroutine_handle<P> handle) {
        core_.bind_to_loop("Queue");
        std::construct_at(&stand_in_, *this, handle.promise());
        waiting_ = true;
        stand_in_line();
    }

protected:
    // Of a task that was destroyed; the derived class's destructor calls it.
    void end() noexcept {
        if (waiting_) [[unlikely]] {
            give_up();
        }
    }
    ~Place() {
        if (waiting_ && thread_state.destroyed == &stand_in_.frame) [[unlikely]] {
            thread_state.destroyed = nullptr;
        }
    }

    // Throws if there was a wait and it was interrupted.
    void waited() {
        if (waiting_) {
            end_wait();
        }
    }

    QueueCore& core_;

private:
    struct StandIn {
        StandIn(Place& place, Frame& caller) noexcept : place(place) {
            frame.caller = &caller;
            frame.function = place.function_;
            frame.at = place.function_;
        }
        void (*resume)(StandIn*) noexcept = &Place::look_again;
        void (*destroy)(StandIn*) noexcept = [](StandIn*) noexcept {};
        Frame frame;
        Place& place;
    };
    static_assert(std::is_trivially_destructible_v<StandIn>);
    static void look_again(StandIn* self) noexcept;

    virtual bool must_wait() const noexcept = 0;
    void on_cancel() noexcept final { unlink(); }
    void stand_in_line() noexcept {
        (core_.*line_).push_back(*this);
        suspend(std::coroutine_handle<Frame>::from_promise(stand_in_.frame), WaitKind::primitive);
    }
    void end_wait();
    void give_up() noexcept;

    Line QueueCore::* line_;
    std::source_location function_;
    bool waiting_ = false;
    union {
        StandIn stand_in_;
    };
};

template <class T>
struct FifoItems : std::deque<T> {
    static constexpr const char* name = "Queue";
    void put(T item) { this->push_back(std::move(item)); }
    T take() {
        T item = std::move(this->front());
        this->pop_front();
        return item;
    }
};

template <class T>
struct LifoItems : std::vector<T> {
    static constexpr const char* name = "LifoQueue";
    void put(T item) { this->push_back(std::move(item)); }
    T take() {
        T item = std::move(this->back());
        this->pop_back();
        return item;
    }
};

template <class T, class Compare>
struct LaterFirst {
    bool operator()(const T& a, const T& b) const { return Compare()(b, a); }
};

// The item that compares less than all others comes first.
template <class T, class Compare>
struct PriorityItems : std::priority_queue<T, std::vector<T>, LaterFirst<T, Compare>> {
    static constexpr const char* name = "PriorityQueue";
    void put(T item) { this->push(std::move(item)); }
    T take() {
        // It is moved to the end next, without being compared, and removed there.
        T item = std::move(const_cast<T&>(this->top()));
        this->pop();
        return item;
    }
    void clear() { this->c.clear(); }
};

}  // namespace detail

/// A queue between tasks of one loop; see Queue, LifoQueue and PriorityQueue.
///
/// `maxsize` bounds it: `put` waits while it is full. 0 means no bound, for when the producers are
/// bounded otherwise. Items may be move-only.
///
/// Thread safety: loop thread only. Must outlive those who wait.
/// Cancel safety: a cancelled `get` has taken nothing, and a cancelled `put` has destroyed its item
/// without putting it; a wake-up that came too late is passed on. Source: S243 ff.
template <class T, class Items>
class BasicQueue : public detail::QueueCore {
public:
    class Put;
    class Get;
    using value_type = T;

    explicit BasicQueue(std::size_t maxsize = 0) noexcept : QueueCore(maxsize) {}

    std::size_t qsize() const noexcept { return items_.size(); }
    bool empty() const noexcept { return items_.empty(); }
    bool full() const noexcept { return maxsize_ > 0 && qsize() >= maxsize_; }
    QueueStatistics statistics() const noexcept { return statistics_of(qsize()); }

    /// Waits until there is room, and adds the item. Raises: QueueShutDown.
    Put put(T item) { return Put(*this, std::move(item)); }
    /// Waits until there is an item, and takes it. Raises: QueueShutDown once it is empty.
    Get get() noexcept { return Get(*this); }
    /// Raises: QueueFull, QueueShutDown; `item` is lost then.
    void put_nowait(T item) {
        if (shut_down_) [[unlikely]] {
            throw_shut_down();
        }
        if (full()) {
            throw_full();
        }
        items_.put(std::move(item));
        item_added();
    }
    /// Raises: QueueEmpty, QueueShutDown once it is empty.
    T get_nowait() {
        if (empty()) {
            if (shut_down_) {
                throw_shut_down();
            }
            throw_empty();
        }
        T item = items_.take();
        wake_next(putters_);
        return item;
    }
    /// As get_nowait; nothing if it is empty.
    std::optional<T> try_get() { return empty() ? std::nullopt : std::optional<T>(get_nowait()); }

    /// From now on `put` raises QueueShutDown, and `get` does once the queue is empty; those who
    /// wait look again. With `immediate`, what is in it is dropped and counts as dealt with.
    void shutdown(bool immediate = false) {
        shut_down_ = true;
        if (immediate) {
            const std::size_t dropped = qsize();
            items_.clear();
            items_dropped(dropped);
        }
        wake_all();
    }

    /// `<Queue maxsize=2 size=1 tasks=3>`.
    friend std::string repr(const BasicQueue& queue) {
        return queue.describe(Items::name, queue.qsize());
    }

private:
    Items items_;
};

template <class T>
using Queue = BasicQueue<T, detail::FifoItems<T>>;
/// Gives the latest item first.
template <class T>
using LifoQueue = BasicQueue<T, detail::LifoItems<T>>;
/// Gives the least item first, as compared by `Compare`.
template <class T, class Compare = std::less<>>
using PriorityQueue = BasicQueue<T, detail::PriorityItems<T, Compare>>;

template <class T, class Items>
class [[nodiscard("put does nothing until it is awaited")]] BasicQueue<T, Items>::Put final
    : private detail::QueueCore::Place {
public:
    Put(BasicQueue& queue, T item, std::source_location here = std::source_location::current())
        : Place(queue, &BasicQueue::putters_, here), item_(std::move(item)) {}
    ~Put() { this->end(); }

    friend Put&& make_awaiter(Put&& put) noexcept { return std::move(put); }
    bool await_ready() const noexcept { return !must_wait(); }
    using Place::await_suspend;
    void await_resume() {
        this->waited();
        queue().put_nowait(std::move(item_));
    }
    Coro<void> as_coro() && { return run(queue(), std::move(item_)); }
    operator Coro<void>() && {  // NOLINT(google-explicit-constructor)
        return std::move(*this).as_coro();
    }

private:
    static Coro<void> run(BasicQueue& queue, T item) { co_await queue.put(std::move(item)); }
    BasicQueue& queue() const noexcept { return static_cast<BasicQueue&>(this->core_); }
    bool must_wait() const noexcept override { return queue().full() && !queue().shut_down_; }

    T item_;
};

template <class T, class Items>
class [[nodiscard("get does nothing until it is awaited")]] BasicQueue<T, Items>::Get final
    : private detail::QueueCore::Place {
public:
    explicit Get(BasicQueue& queue,
                 std::source_location here = std::source_location::current()) noexcept
        : Place(queue, &BasicQueue::getters_, here) {}
    ~Get() { this->end(); }

    friend Get&& make_awaiter(Get&& get) noexcept { return std::move(get); }
    bool await_ready() const noexcept { return !must_wait(); }
    using Place::await_suspend;
    T await_resume() {
        this->waited();
        return queue().get_nowait();
    }
    Coro<T> as_coro() && { return run(queue()); }
    operator Coro<T>() && { return run(queue()); }  // NOLINT(google-explicit-constructor)

private:
    static Coro<T> run(BasicQueue& queue) { co_return co_await queue.get(); }
    BasicQueue& queue() const noexcept { return static_cast<BasicQueue&>(this->core_); }
    bool must_wait() const noexcept override { return queue().empty() && !queue().shut_down_; }
};

}  // namespace asyncio::inline v0
