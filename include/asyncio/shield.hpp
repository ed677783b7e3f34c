// shield: wait for something without passing a cancellation on to it.
#pragma once

#include <asyncio/gather.hpp>

namespace asyncio::inline v0 {

namespace detail {

// The outer future of a shield; listens to the inner one.
class ASYNCIO_API ShieldBase : public FutureState, public CompositeNode {
public:
    void detach() noexcept override;
    void begin(FutureState& inner);

    ShieldBase(EventLoop& loop, std::source_location here) noexcept
        : FutureState(loop, FutureKind::shielding, here), listener_(*this, &ShieldBase::inner_done),
          closer_(*this, &ShieldBase::outer_done) {}

protected:
    ~ShieldBase() override;
    // The inner future has a value: copies it into the slot.
    virtual void take_result(FutureState& inner) = 0;

private:
    friend struct InspectLayout;
    struct Node : Runnable {
        Node(ShieldBase& owner, void (ShieldBase::*action)()) noexcept
            : Runnable(&Node::run), owner(&owner), action(action) {}
        static void run(Runnable& self, Turn turn);
        ShieldBase* owner;
        void (ShieldBase::*action)();
    };
    void inner_done();
    void outer_done();
    void release_node() noexcept;

    // Invariant: each node that is linked or queued holds one reference of this object.
    Node listener_;  // in the inner future's callbacks
    Node closer_;    // in this future's own callbacks
    int nodes_ = 0;
    StatePtr<FutureState> inner_;
};

template <class T>
class ShieldStateOf final : public FutureStateOf<T, ShieldBase> {
public:
    using FutureStateOf<T, ShieldBase>::FutureStateOf;

private:
    void take_result(FutureState& inner) override {
        if constexpr (!std::is_void_v<T>) {
            Slot<T>& slot = HandleAccess::slot<T>(inner);
            if constexpr (copyable_result<T>) {
                this->emplace(slot.value);
            } else {
                inner.set_moved();
                this->emplace(std::move(slot.value));
            }
        }
    }
};

}  // namespace detail

/// Waits for a task or future; cancelling the waiter does not cancel it. A coroutine becomes a
/// task. If the shield was cancelled and the inner one fails, that is reported.
///
/// Cancel safety: the inner one goes on; keep a handle if its result matters.
/// Source: S173 to S181, W5.
template <detail::Gatherable A>
auto shield(A&& awaitable, std::source_location here = std::source_location::current()) {
    using T = detail::gather_value_t<A>;
    Future<T> inner;
    if constexpr (detail::is_future_handle<A>) {
        inner = std::forward<A>(awaitable);
    } else {
        inner = create_task(detail::to_coro(std::forward<A>(awaitable)), here);
    }
    if (inner.done()) {
        return inner;
    }
    auto* outer = new detail::ShieldStateOf<T>(inner.get_loop(), here);
    Future<T> handle = detail::HandleAccess::make<Future<T>>(outer);
    outer->begin(detail::HandleAccess::state(inner));
    return handle;
}

}  // namespace asyncio::inline v0
