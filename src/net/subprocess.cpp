// Process. Follows CPython's asyncio/subprocess.py.
#include <asyncio/event_loop.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/subprocess.hpp>

#include "net/program.hpp"
#include "net/stream_protocol.hpp"

#include <unistd.h>

#include <array>
#include <csignal>

namespace asyncio::inline v0 {
namespace detail {

// Invariant: `protocols_[i]` is the protocol of the pipe to the standard stream i, or null;
// `stdin_` is the writer of the first, which would be closed with the last of the users' handles.
class ProcessState final : public Program {
public:
    using Program::Program;
    ~ProcessState() { close_pipes(); }

    static Coro<Process> start(std::vector<std::string> arguments, ProcessOptions options);
    static Coro<ProcessOutput> communicate(std::shared_ptr<ProcessState> self, std::string input);

    StreamReader reader(int number, const char* name) const;
    const StreamWriter& stdin_writer() const;

private:
    Coro<std::string> read_all(int number);
    Coro<void> feed(std::string input);

    std::array<std::shared_ptr<StreamProtocol>, standard_streams> protocols_;
    std::optional<StreamWriter> stdin_;
};

Coro<Process> ProcessState::start(std::vector<std::string> arguments, ProcessOptions options) {
    EventLoop& loop = get_running_loop();
    const std::size_t limit = checked_limit(options.limit);
    auto state = std::make_shared<ProcessState>(loop, std::move(arguments), std::move(options));
    if (!state->has_pipes()) {
        co_return Process(std::move(state));
    }
    const Future<void> connected = loop.create_future<void>();
    state->connect(
        [&](int number) {
            return state->protocols_[static_cast<std::size_t>(number)] =
                       std::make_shared<StreamProtocol>(limit, nullptr);
        },
        [connected] {
            if (!connected.done()) {
                connected.set_result();
            }
        });
    co_await connected;
    if (const auto& protocol = state->protocols_[STDIN_FILENO]; protocol != nullptr) {
        state->stdin_ = protocol->writer();
    }
    co_return Process(std::move(state));
}

[[noreturn]] void throw_no_pipe(const std::string& name) {
    throw RuntimeError(name + " of the process is no pipe: start it with {." + name +
                       " = subprocess::PIPE}");
}

StreamReader ProcessState::reader(int number, const char* name) const {
    const auto& protocol = protocols_[static_cast<std::size_t>(number)];
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

Coro<std::string> ProcessState::read_all(int number) {
    const auto& protocol = protocols_[static_cast<std::size_t>(number)];
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
