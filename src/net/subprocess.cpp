// Process. Follows CPython's asyncio/subprocess.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/subprocess.hpp>

#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/child.hpp"
#include "net/close_unless_done.hpp"
#include "net/fd_transport.hpp"
#include "net/io_line.hpp"
#include "net/stream_protocol.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The two ends of a new pipe: ours does not block, and no program inherits either.
struct NewPipe {
    Socket ours;
    Socket theirs;
};

enum class PipeUse : std::uint8_t { we_write, we_read };

NewPipe new_pipe(PipeUse use) {
    int fds[2];
    check(::pipe2(fds, O_CLOEXEC), "pipe2");
    NewPipe pipe{.ours = SocketAccess::adopt(fds[use == PipeUse::we_read ? 0 : 1]),
                 .theirs = SocketAccess::adopt(fds[use == PipeUse::we_read ? 1 : 0])};
    check(::fcntl(pipe.ours.fileno(), F_SETFL, O_NONBLOCK), "fcntl");
    return pipe;
}

}  // namespace

// Invariants:
//  1. `exits_` is empty once the return code is known.
//  2. `pipes_[i]` is the protocol of the pipe to the standard stream i, or null; `stdin_` is the
//     writer of the first, which would be closed with the last of the users' handles.
class ProcessState final : public std::enable_shared_from_this<ProcessState> {
public:
    ProcessState(EventLoop& loop, const SpawnRequest& request)
        : child_(request), watch_(loop, child_, [this](int) { exits_.wake_all(); }) {}
    ProcessState(const ProcessState&) = delete;
    ProcessState& operator=(const ProcessState&) = delete;
    ~ProcessState() {
        for (const auto& pipe : pipes_) {
            if (pipe != nullptr) {
                pipe->transport().close();
            }
        }
    }

    static Coro<Process> start(std::vector<std::string> arguments, ProcessOptions options);
    static Coro<int> wait(std::shared_ptr<ProcessState> self);
    static Coro<ProcessOutput> communicate(std::shared_ptr<ProcessState> self, std::string input);

    Child& child() noexcept { return child_; }
    StreamReader reader(int number, const char* name) const;
    const StreamWriter& stdin_writer() const;

private:
    using Ours = std::array<Socket, 3>;
    static constexpr int standard_streams = 3;

    // Where a program's standard stream leads; makes a pipe if that is wanted.
    static Stdio redirected(subprocess::Redirection wanted, int number, Ours& ours, Ours& theirs);
    Coro<void> connect(EventLoop& loop, Ours ours, std::size_t limit);
    Coro<std::string> read_all(int number);
    Coro<void> feed(std::string input);

    Child child_;
    IoLine exits_;
    std::array<std::shared_ptr<StreamProtocol>, standard_streams> pipes_;
    std::optional<StreamWriter> stdin_;
    ExitWatch watch_;
};

Stdio ProcessState::redirected(subprocess::Redirection wanted, int number, Ours& ours,
                               Ours& theirs) {
    using Kind = subprocess::Redirection::Kind;
    switch (wanted.kind_) {
    case Kind::inherited:
        return {};
    case Kind::descriptor:
        return Stdio::descriptor(wanted.fd_);
    case Kind::null_device:
        return Stdio::null_device();
    case Kind::standard_output:
        return Stdio::standard_output();
    case Kind::pipe:
        break;
    }
    auto pipe = new_pipe(number == STDIN_FILENO ? PipeUse::we_write : PipeUse::we_read);
    const auto index = static_cast<std::size_t>(number);
    ours[index] = std::move(pipe.ours);
    theirs[index] = std::move(pipe.theirs);
    return Stdio::descriptor(theirs[index].fileno());
}

Coro<Process> ProcessState::start(std::vector<std::string> arguments, ProcessOptions options) {
    EventLoop& loop = get_running_loop();
    checked_limit(options.limit);
    Ours ours;
    std::shared_ptr<ProcessState> state;
    {
        Ours theirs;
        SpawnRequest request;
        request.argv = std::move(arguments);
        request.executable = std::move(options.executable);
        request.cwd = std::move(options.cwd);
        request.env = std::move(options.env);
        request.standard_input = redirected(options.stdin, STDIN_FILENO, ours, theirs);
        request.standard_output = redirected(options.stdout, STDOUT_FILENO, ours, theirs);
        request.standard_error = redirected(options.stderr, STDERR_FILENO, ours, theirs);
        request.pass_fds = std::move(options.pass_fds);
        request.start_new_session = options.start_new_session;
        request.process_group = options.process_group;
        request.restore_signals = options.restore_signals;
        state = std::make_shared<ProcessState>(loop, request);
    }
    co_await state->connect(loop, std::move(ours), options.limit);
    co_return Process(std::move(state));
}

Coro<void> ProcessState::connect(EventLoop& loop, Ours ours, std::size_t limit) {
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (!ours[i]) {
            continue;
        }
        auto protocol = std::make_shared<StreamProtocol>(limit, nullptr);
        const Future<void> connected = loop.create_future<void>();
        const auto transport = std::make_shared<FdTransport>(
            loop, std::move(ours[i]),
            i == STDIN_FILENO ? FdTransport::Kind::write_pipe : FdTransport::Kind::read_pipe,
            Address(), protocol);
        transport->begin(connected);
        CloseUnlessDone closing(*transport);
        co_await connected;
        closing.done();
        if (i == STDIN_FILENO) {
            stdin_ = protocol->writer();
        }
        pipes_[i] = std::move(protocol);
    }
}

[[noreturn]] void throw_no_pipe(const std::string& name) {
    throw RuntimeError(name + " of the process is no pipe: start it with {." + name +
                       " = subprocess::PIPE}");
}

StreamReader ProcessState::reader(int number, const char* name) const {
    const auto& protocol = pipes_[static_cast<std::size_t>(number)];
    if (protocol == nullptr) {
        throw_no_pipe(name);
    }
    return protocol->reader();
}

const StreamWriter& ProcessState::stdin_writer() const {
    if (!stdin_) {
        throw_no_pipe("stdin");
    }
    return *stdin_;
}

Coro<int> ProcessState::wait(std::shared_ptr<ProcessState> self) {
    while (!self->child_.returncode()) {
        co_await self->exits_.wait();
    }
    co_return *self->child_.returncode();
}

Coro<std::string> ProcessState::read_all(int number) {
    const auto& protocol = pipes_[static_cast<std::size_t>(number)];
    if (protocol == nullptr) {
        co_return std::string();
    }
    co_return co_await protocol->reader().read();
}

Coro<void> ProcessState::feed(std::string input) {
    if (input.empty() && !stdin_) {
        co_return;
    }
    StreamWriter writer = stdin_writer();
    try {
        writer.write(std::move(input));
        co_await writer.drain();
    } catch (const std::system_error& error) {
        // A program may end, or close its input, before it has read everything.
        if (error.code() != std::errc::broken_pipe && error.code() != std::errc::connection_reset) {
            throw;
        }
    }
    writer.close();
}

Coro<ProcessOutput> ProcessState::communicate(std::shared_ptr<ProcessState> self,
                                              std::string input) {
    auto [fed, out, err] = co_await gather(
        self->feed(std::move(input)), self->read_all(STDOUT_FILENO), self->read_all(STDERR_FILENO));
    co_await wait(self);
    co_return ProcessOutput{.out = std::move(out), .err = std::move(err)};
}

}  // namespace detail

int Process::pid() const noexcept { return state_->child().pid(); }
const std::optional<int>& Process::returncode() const noexcept {
    return state_->child().returncode();
}
StreamWriter Process::stdin() const { return state_->stdin_writer(); }
StreamReader Process::stdout() const { return state_->reader(STDOUT_FILENO, "stdout"); }
StreamReader Process::stderr() const { return state_->reader(STDERR_FILENO, "stderr"); }
Coro<int> Process::wait() const { return detail::ProcessState::wait(state_); }
Coro<ProcessOutput> Process::communicate(std::string input) const {
    return detail::ProcessState::communicate(state_, std::move(input));
}
void Process::send_signal(int number) const { state_->child().send_signal(number); }
void Process::terminate() const { send_signal(SIGTERM); }
void Process::kill() const { send_signal(SIGKILL); }

Coro<Process> create_subprocess_exec(std::vector<std::string> arguments, ProcessOptions options) {
    return detail::ProcessState::start(std::move(arguments), std::move(options));
}

Coro<Process> create_subprocess_shell(std::string command, ProcessOptions options) {
    return create_subprocess_exec({"/bin/sh", "-c", std::move(command)}, std::move(options));
}

}  // namespace asyncio::inline v0
