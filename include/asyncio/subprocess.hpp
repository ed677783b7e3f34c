// Programs: starting them, talking with them through pipes, waiting for their end.
#pragma once

#include <asyncio/connections.hpp>
#include <asyncio/streams.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::inline v0 {

namespace detail {

class ProcessState;
class Program;
class Stdio;

}  // namespace detail

namespace subprocess {

/// Where a standard stream of a program leads: a descriptor of this process, or one of the below.
class Redirection {
public:
    /// To where this process's own leads.
    constexpr Redirection() noexcept = default;
    /// To what this descriptor leads to, which stays this process's.
    constexpr Redirection(int fd) noexcept  // NOLINT(google-explicit-constructor)
        : kind_(Kind::descriptor), fd_(fd) {}

private:
    friend class detail::Program;
    friend struct Redirections;
    enum class Kind : std::uint8_t { inherited, descriptor, pipe, null_device, standard_output };
    constexpr explicit Redirection(Kind kind) noexcept : kind_(kind) {}

    Kind kind_ = Kind::inherited;
    int fd_ = -1;
};

struct Redirections {
    static constexpr Redirection pipe{Redirection::Kind::pipe};
    static constexpr Redirection null_device{Redirection::Kind::null_device};
    static constexpr Redirection standard_output{Redirection::Kind::standard_output};
};

/// A new pipe, whose other end the Process has.
inline constexpr Redirection PIPE = Redirections::pipe;
/// Nowhere: what is written is dropped, what is read is the end.
inline constexpr Redirection DEVNULL = Redirections::null_device;
/// For `stderr`: where the program's standard output leads.
inline constexpr Redirection STDOUT = Redirections::standard_output;

}  // namespace subprocess

/// How to start a program. The defaults are those of Python's subprocess.
struct ProcessOptions {
    subprocess::Redirection stdin{};
    subprocess::Redirection stdout{};
    subprocess::Redirection stderr{};
    /// The directory it runs in; empty: this process's.
    std::string cwd{};
    /// "NAME=value" for each variable; without a value: this process's.
    std::optional<std::vector<std::string>> env{};
    /// The file to run; empty: the first argument, looked up in PATH.
    std::string executable{};
    /// Descriptors that it gets under the same numbers; all others are closed.
    std::vector<int> pass_fds{};
    /// A session of its own, away from this terminal.
    bool start_new_session = false;
    /// The process group it joins; 0: one of its own.
    std::optional<int> process_group{};
    /// No signal blocked or ignored, whatever this process does.
    bool restore_signals = true;
    /// Of the StreamReaders: what `readline` may buffer; twice as much makes the program wait.
    std::size_t limit = default_stream_limit;
};

/// What a program wrote to its pipes; "" where there was none.
struct ProcessOutput {
    std::string out;
    std::string err;
};

/// A program that was started. A cheap handle: copies name the same one. When the last goes while
/// it runs, it is killed.
///
/// Thread safety: loop thread only. Cancel safety: `wait` changes nothing; `communicate` loses what
/// it had read. Source: S292 to S304, CPython's subprocess.Process.
class ASYNCIO_API Process {
public:
    int pid() const noexcept;
    /// The exit code, or minus the number of the signal that ended it; nothing while it runs.
    const std::optional<int>& returncode() const noexcept;

    /// The other ends of its pipes. Raises: RuntimeError if it was not started with PIPE there.
    StreamWriter stdin() const;
    StreamReader stdout() const;
    StreamReader stderr() const;

    /// Waits for its end, not for that of its pipes, and returns the return code. With a pipe that
    /// nobody reads a program may never end: use `communicate`.
    Coro<int> wait() const;
    /// Writes `input`, closes its standard input, reads what it writes up to the end, and waits for
    /// its end. Memory: all of it. A program that does not read `input` is no error. Raises:
    /// RuntimeError if there is input but no pipe for it.
    Coro<ProcessOutput> communicate(std::string input = {}) const;

    /// Raises: ProcessLookupError, a std::system_error of ESRCH, once it has ended. Never reaches
    /// another process.
    void send_signal(int number) const;
    /// SIGTERM.
    void terminate() const;
    /// SIGKILL.
    void kill() const;

    friend bool operator==(const Process&, const Process&) = default;

private:
    friend class detail::ProcessState;
    explicit Process(std::shared_ptr<detail::ProcessState> state) noexcept
        : state_(std::move(state)) {}

    std::shared_ptr<detail::ProcessState> state_;
};

/// Starts a program: `create_subprocess_exec({"git", "status"}, {.stdout = subprocess::PIPE})`.
///
/// Raises: std::filesystem::filesystem_error if the program or the directory cannot be used;
/// std::system_error; ValueError for no arguments or a zero byte. Then no process is left.
/// Cancel safety: kills the program, and waits for that. Cost: blocks for some 100 us.
ASYNCIO_API Coro<Process> create_subprocess_exec(std::vector<std::string> arguments,
                                                 ProcessOptions options = {});
/// Has a shell run a command line: never one with somebody else's text in it.
ASYNCIO_API Coro<Process> create_subprocess_shell(std::string command, ProcessOptions options = {});

namespace detail {

using SubprocessFactory = std::function<std::shared_ptr<SubprocessProtocol>()>;

ASYNCIO_API Coro<std::shared_ptr<SubprocessTransport>> start_subprocess(
    SubprocessFactory factory, std::vector<std::string> arguments, ProcessOptions options);

inline ProcessOptions all_pipes() {
    return {.stdin = subprocess::PIPE, .stdout = subprocess::PIPE, .stderr = subprocess::PIPE};
}

}  // namespace detail

/// The level below: starts a program and tells a protocol of it, which `factory()` makes. Without
/// options there are pipes to all its standard streams; the option `limit` has no meaning.
///
/// Raises, and costs: as create_subprocess_exec. Cancel safety: kills the program, and waits for
/// its end. Source: S298, S300, CPython's base_events.subprocess_exec.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>, SubprocessTransport>> subprocess_exec(
    F factory, std::vector<std::string> arguments, ProcessOptions options = detail::all_pipes()) {
    return detail::typed_connection<SubprocessProtocol, SubprocessTransport>(
        std::move(factory),
        [arguments = std::move(arguments), options = std::move(options)](auto make) mutable {
            return detail::start_subprocess(std::move(make), std::move(arguments),
                                            std::move(options));
        });
}
/// Has a shell run a command line: never one with somebody else's text in it.
template <std::invocable F>
Coro<Connection<detail::ProtocolOf<F>, SubprocessTransport>> subprocess_shell(
    F factory, std::string command, ProcessOptions options = detail::all_pipes()) {
    return subprocess_exec(std::move(factory), {"/bin/sh", "-c", std::move(command)},
                           std::move(options));
}

}  // namespace asyncio::inline v0
