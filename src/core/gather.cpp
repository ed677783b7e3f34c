// gather and shield. Follow gather, _GatheringFuture and shield of CPython's asyncio/tasks.py.
#include <asyncio/gather.hpp>
#include <asyncio/shield.hpp>

#include "base/exception_type.hpp"

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

EventLoop& gather_loop(const AnyFuture* first) {
    return first != nullptr ? first->get_loop() : get_running_loop();
}

void throw_different_loops() {
    throw ValueError("The futures passed to gather() belong to different loops");
}

GatherBase::GatherBase(EventLoop& loop, std::size_t child_count, bool return_exceptions,
                       std::source_location here)
    : FutureState(loop, FutureKind::gathering, here),
      children_(std::make_unique<GatherChild[]>(child_count)), child_count_(child_count),
      return_exceptions_(return_exceptions) {}

GatherBase::~GatherBase() = default;

void GatherBase::begin() {
    if (child_count_ == 0) {
        collect();
        finish_with_value();
        return;
    }
    const auto is_done = [](const GatherChild& child) { return child.future->done(); };
    if (LoopAccess::closed(loop()) && !std::ranges::all_of(children(), is_done)) {
        LoopAccess::throw_closed();  // no child could report any more
    }
    retain();
    LoopAccess::composites(loop()).push_back(*this);
    bool any_done = false;
    for (GatherChild& child : children()) {
        FutureState& future = *child.future;
        child.parent = this;
        child.counted = (future.flags_ & flag_mentioned) == 0;
        if (!child.counted) {
            continue;
        }
        future.flags_ |= flag_mentioned;
        ++unfinished_;
        if (future.done()) {
            any_done = true;
        } else {
            future.add_waiter(child);
        }
    }
    for (GatherChild& child : children()) {
        child.future->flags_ &= static_cast<std::uint8_t>(~flag_mentioned);
    }
    if (any_done) {
        report_done_children();
    }
}

void GatherBase::report_done_children() {
    // Only those that were done when they were given: reporting completes no other child.
    const StatePtr<GatherBase> alive(this);
    for (GatherChild& child : children()) {
        if (child.counted && !child.linked() && child.future->done()) {
            child_done(child);
        }
    }
}

void GatherChild::run(Runnable& self, Turn turn) {
    auto& child = static_cast<GatherChild&>(self);
    if (turn == Turn::run) {
        child.parent->child_done(child);
    }
}

void GatherBase::child_done(GatherChild& child) {
    --unfinished_;
    const bool last = unfinished_ == 0;
    FutureState& future = *child.future;
    if (!done() && !return_exceptions_ && !future.has_value()) [[unlikely]] {
        fail(future.cancelled() ? future.make_cancelled_error() : gathered_error(child));
    } else if (done()) {
        future.mark_retrieved();
    } else if (last) {
        complete();
    }
    if (last) {
        CompositeNode::unlink();
        FutureState::release();
    }
}

void GatherBase::fail(std::exception_ptr reason) noexcept {
    error() = std::move(reason);
    finish_with_error();
}

void GatherBase::complete() {
    if ((flags_ & flag_cancel_requested) != 0) [[unlikely]] {
        // Cancelled, but the children's cancellations became values, or were swallowed. The message
        // is that of the last child, whether or not it was cancelled, as in CPython.
        for (GatherChild& child : children()) {
            child.future->mark_retrieved();
        }
        fail(children().back().future->make_cancelled_error());
        return;
    }
    try {
        collect();
    } catch (...) {
        fail(std::current_exception());  // a result's copy threw
        return;
    }
    finish_with_value();
}

void GatherBase::detach() noexcept {
    for (GatherChild& child : children()) {
        if (child.linked()) {
            child.unlink();
        }
    }
    CompositeNode::unlink();
    FutureState::release();
}

std::exception_ptr gathered_error(GatherChild& child) {
    FutureState& future = *child.future;
    if (future.cancelled()) {
        return std::make_exception_ptr(CancelledError(future.cancel_message()));
    }
    if (!future.failed()) {
        return future.moved_out_error();
    }
    future.mark_retrieved();
    return future.error();
}

// ---- shield

namespace {

// What is left of a cancelled shield: it reports if the inner future fails after all.
struct LogShielded final : DoneCallback {
    static const void* tag() noexcept {
        static constexpr char address = 0;
        return &address;
    }
    const void* function() const noexcept override { return tag(); }
    void call(FutureState& inner) override {
        if (!inner.failed()) {
            return;
        }
        inner.mark_retrieved();
        ErrorContext report;
        report.message = exception_type_name(inner.error()) + " exception in shielded future";
        report.exception = inner.error();
        report.future = HandleAccess::make<AnyFuture>(&inner);
        report.created_at = inner.created_at();
        inner.loop().call_exception_handler(report);
    }
};

}  // namespace

ShieldBase::~ShieldBase() {
    // Shields may be stacked without limit: they are destroyed one after the other, not from inside
    // each other.
    StatePtr<FutureState> inner = std::move(inner_);
    while (inner && inner->refs() == 1 && inner->kind() == FutureKind::shielding) {
        inner = std::move(static_cast<ShieldBase&>(*inner).inner_);
    }
}

void ShieldBase::begin(FutureState& inner) {
    if (LoopAccess::closed(loop())) {
        LoopAccess::throw_closed();  // the inner future could not report any more
    }
    inner_ = StatePtr<FutureState>(&inner);
    LoopAccess::composites(loop()).push_back(*this);
    nodes_ = 2;
    retain();
    inner.add_waiter(listener_);
    retain();
    add_waiter(closer_);
}

void ShieldBase::Node::run(Runnable& self, Turn turn) {
    auto& node = static_cast<Node&>(self);
    const StatePtr<ShieldBase> alive(node.owner);
    node.owner->release_node();
    if (turn == Turn::run) {
        (node.owner->*node.action)();
    }
}

void ShieldBase::release_node() noexcept {
    if (--nodes_ == 0) {
        CompositeNode::unlink();
    }
    FutureState::release();
}

void ShieldBase::inner_done() {
    FutureState& inner = *inner_;
    if (done()) {
        return;
    }
    if (inner.cancelled()) {
        FutureState::cancel(CancelMessage());
    } else if (inner.failed()) {
        inner.mark_retrieved();
        error() = inner.error();
        finish_with_error();
    } else {
        try {
            inner.check_result();
            take_result(inner);
        } catch (...) {
            error() = std::current_exception();  // the result's copy threw
            finish_with_error();
            return;
        }
        finish_with_value();
    }
}

void ShieldBase::outer_done() {
    if (!inner_->done()) {
        if (listener_.linked()) {
            listener_.unlink();
            release_node();
        }
        // One report, however many shields were stacked on the inner future.
        inner_->remove_callbacks(LogShielded::tag());
        auto* callback = new LogShielded;
        callback->context = copy_current_context();
        inner_->add_callback(callback);
    }
}

void ShieldBase::detach() noexcept {
    const StatePtr<ShieldBase> alive(this);
    for (Node* node : {&listener_, &closer_}) {
        if (node->linked()) {
            node->unlink();
            release_node();
        }
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
