// Programs as transports. Follows CPython's asyncio/base_subprocess.py.
#include <asyncio/log.hpp>

#include "net/program.hpp"
#include "net/protocol_slot.hpp"

#include <csignal>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Invariants:
//  1. From `begin` until `connection_lost` has returned, or the loop is closed, `self_` and the
//     loop's list of composites hold it, and `protocol_` is not null.
//  2. `waiting_for_` counts the pipes that are not lost, and the program while it runs.
class ProgramTransport final : public SubprocessTransport,
                               private CompositeNode,
                               public std::enable_shared_from_this<ProgramTransport> {
public:
    ProgramTransport(EventLoop& loop, std::shared_ptr<SubprocessProtocol> protocol,
                     std::vector<std::string> arguments, ProcessOptions options)
        : loop_(loop), protocol_(std::move(protocol)),
          program_(std::make_shared<Program>(loop, std::move(arguments), std::move(options),
                                             [this] { process_exited(); })) {}

    // Has the protocol told `connection_made` in the next iteration; then `connected` gets its
    // result.
    void begin(Future<void> connected);
    Coro<int> wait() const { return Program::wait(program_); }

    void close() override { end(&BaseTransport::close); }
    void abort() override { end(&BaseTransport::abort); }
    bool is_closing() const noexcept override { return closing_; }

    int get_pid() const noexcept override { return program_->child().pid(); }
    const std::optional<int>& get_returncode() const noexcept override {
        return program_->child().returncode();
    }
    std::shared_ptr<Transport> get_pipe_transport(int fd) const noexcept override {
        return program_->pipe(fd);
    }
    void send_signal(int number) override { program_->child().send_signal(number); }

private:
    class PipeProtocol;

    template <class Call>
    void tell_protocol(const char* failure, Call call) {
        if (protocol_ != nullptr) {  // else the loop is being closed
            tell(loop_, *this, *protocol_, failure, [&] { call(*protocol_); });
        }
    }
    void connection_made(const Future<void>& connected);
    void process_exited();
    void one_less();
    void connection_lost();
    void end(void (BaseTransport::*how)());
    void detach() noexcept override;
    void release() noexcept;

    EventLoop& loop_;
    std::shared_ptr<SubprocessProtocol> protocol_;
    const std::shared_ptr<Program> program_;
    std::shared_ptr<ProgramTransport> self_;
    int waiting_for_ = 1;
    bool closing_ = false;
};

// Passes on what a pipe tells.
class ProgramTransport::PipeProtocol final : public Protocol {
public:
    PipeProtocol(std::shared_ptr<ProgramTransport> owner, int number) noexcept
        : owner_(std::move(owner)), number_(number) {}

    void data_received(std::string_view data) override {
        owner_->tell_protocol(
            "protocol.pipe_data_received() failed",
            [&](SubprocessProtocol& protocol) { protocol.pipe_data_received(number_, data); });
    }
    void connection_lost(const std::exception_ptr& error) override {
        owner_->tell_protocol(
            "protocol.pipe_connection_lost() failed",
            [&](SubprocessProtocol& protocol) { protocol.pipe_connection_lost(number_, error); });
        owner_->one_less();
    }
    void pause_writing() override {
        owner_->tell_protocol("protocol.pause_writing() failed",
                              [](SubprocessProtocol& protocol) { protocol.pause_writing(); });
    }
    void resume_writing() override {
        owner_->tell_protocol("protocol.resume_writing() failed",
                              [](SubprocessProtocol& protocol) { protocol.resume_writing(); });
    }

private:
    const std::shared_ptr<ProgramTransport> owner_;
    const int number_;
};

void ProgramTransport::begin(Future<void> connected) {
    self_ = shared_from_this();
    LoopAccess::composites(loop_).push_back(*this);
    program_->connect(
        [this](int number) {
            ++waiting_for_;
            return std::make_shared<PipeProtocol>(self_, number);
        },
        [self = self_, connected = std::move(connected)] { self->connection_made(connected); });
}

void ProgramTransport::connection_made(const Future<void>& connected) {
    tell_protocol("protocol.connection_made() failed", [this](SubprocessProtocol& protocol) {
        protocol.connection_made(shared_from_this());
    });
    if (!connected.done()) {
        connected.set_result();
    }
}

void ProgramTransport::process_exited() {
    tell_protocol("protocol.process_exited() failed",
                  [](SubprocessProtocol& protocol) { protocol.process_exited(); });
    one_less();
}

void ProgramTransport::one_less() {
    if (--waiting_for_ == 0) {
        loop_.call_soon([self = self_] { self->connection_lost(); });
    }
}

void ProgramTransport::connection_lost() {
    closing_ = true;
    tell_protocol("protocol.connection_lost() failed",
                  [](SubprocessProtocol& protocol) { protocol.connection_lost(nullptr); });
    release();
}

void ProgramTransport::end(void (BaseTransport::*how)()) {
    if (self_ == nullptr || loop_.is_closed()) {
        return;  // a loop that closes is about to call detach()
    }
    closing_ = true;
    for (int fd = 0; fd < static_cast<int>(Program::standard_streams); ++fd) {
        if (const auto pipe = program_->pipe(fd); pipe != nullptr) {
            (pipe.get()->*how)();
        }
    }
    if (!get_returncode()) {
        try {
            kill();
        } catch (const std::system_error& error) {
            // Others have waited for it, or it is another user's now: its end will come anyway.
            log(LogLevel::debug, error.what());
        }
    }
}

void ProgramTransport::detach() noexcept {
    if (loop_.get_debug()) {
        log(LogLevel::warning,
            "ResourceWarning: the loop was closed while the transport of process " +
                std::to_string(get_pid()) + " was open");
    }
    closing_ = true;
    release();
}

void ProgramTransport::release() noexcept {
    CompositeNode::unlink();
    const auto protocol = std::move(protocol_);
    const auto last = std::move(self_);
}

}  // namespace

Coro<std::shared_ptr<SubprocessTransport>> start_subprocess(SubprocessFactory factory,
                                                            std::vector<std::string> arguments,
                                                            ProcessOptions options) {
    EventLoop& loop = get_running_loop();
    const auto transport = std::make_shared<ProgramTransport>(loop, factory(), std::move(arguments),
                                                              std::move(options));
    const Future<void> connected = loop.create_future<void>();
    transport->begin(connected);
    std::exception_ptr cancelled;
    try {
        co_await connected;
    } catch (const CancelledError&) {
        cancelled = std::current_exception();
    }
    if (cancelled != nullptr) {
        transport->close();
        co_await transport->wait();
        std::rethrow_exception(cancelled);
    }
    co_return transport;
}

}  // namespace detail
}  // namespace asyncio::inline v0
