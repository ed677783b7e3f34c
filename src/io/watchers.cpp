// add_reader and add_writer: a callback for as long as a descriptor is ready.
#include <asyncio/event_loop.hpp>
#include <asyncio/task.hpp>

namespace asyncio::inline v0 {

namespace {

// What the poller holds for one add_reader or add_writer. Freed when it is removed or the loop
// closes.
class Watcher final : public IoOperation, public detail::CompositeNode, public detail::Pooled {
public:
    Watcher(int fd, IoDirection direction, detail::HandleState* owned) noexcept
        : IoOperation(&Watcher::run, fd, direction, true), handle_(owned) {}
    ~Watcher() { handle_->release(); }

    static Watcher* from(IoOperation* operation) noexcept {
        return operation != nullptr && operation->runs(&Watcher::run)
                   ? static_cast<Watcher*>(operation)
                   : nullptr;
    }

    void detach() noexcept override {
        handle_->loop.poller().cancel(*this);
        delete this;
    }

private:
    static void run(Runnable& self, Turn turn) {
        auto& watcher = static_cast<Watcher&>(self);
        if (turn == Turn::run) {
            watcher.handle_->execute_repeatedly();
        }
    }

    detail::HandleState* handle_;
};

}  // namespace

void EventLoop::watch(int fd, IoDirection direction, detail::HandleState* owned) {
    auto watcher = std::make_unique<Watcher>(fd, direction, owned);
    check_usable();
    unwatch(fd, direction);
    poller_->start(*watcher);
    composites_.push_back(*watcher.release());
}

bool EventLoop::unwatch(int fd, IoDirection direction) noexcept {
    if (closed_) {
        return false;
    }
    Watcher* const watcher = Watcher::from(poller_->watching(fd, direction));
    if (watcher == nullptr) {
        return false;
    }
    poller_->cancel(*watcher);
    delete watcher;
    return true;
}

}  // namespace asyncio::inline v0
