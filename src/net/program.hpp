// A program with pipes: what Process and the subprocess transport have in common.
#pragma once

#include <asyncio/subprocess.hpp>

#include "net/child.hpp"
#include "net/fd_transport.hpp"
#include "net/io_line.hpp"

#include <array>

namespace asyncio::inline v0 {
namespace detail {

// Invariants:
//  1. `exits_` is empty once the return code is known.
//  2. `ours_[i]` is our end of the pipe to the standard stream i until `connect`; after that
//     `pipes_[i]` is its transport. Both are empty where there is no pipe.
class Program {
public:
    static constexpr std::size_t standard_streams = 3;

    // Starts it. `on_exit` may be empty. Raises: what spawn raises; then nothing is left.
    Program(EventLoop& loop, std::vector<std::string> arguments, ProcessOptions options,
            std::function<void()> on_exit = {})
        : Program(loop, Launch(std::move(arguments), std::move(options)), std::move(on_exit)) {}
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    // Closes the pipes, and kills it if it runs.
    ~Program() { close_pipes(); }

    // Makes transports of the pipes. In the next iteration each protocol is told `connection_made`;
    // then `connected` is called, before anything else happens to the program.
    void connect(const std::function<std::shared_ptr<Protocol>(int number)>& make_protocol,
                 std::function<void()> connected);
    // Before `connect`.
    bool has_pipes() const noexcept;
    void close_pipes() const;

    Child& child() noexcept { return child_; }
    const Child& child() const noexcept { return child_; }
    // Null if there is no such pipe.
    std::shared_ptr<FdTransport> pipe(int number) const noexcept;
    static Coro<int> wait(std::shared_ptr<Program> self);

private:
    using Ends = std::array<Socket, standard_streams>;

    struct Launch {
        Launch(std::vector<std::string> arguments, ProcessOptions options);
        // Where a standard stream leads; makes a pipe if that is wanted.
        Stdio redirected(subprocess::Redirection wanted, int number);
        Ends ours;
        Ends theirs;
        SpawnRequest request;
    };

    Program(EventLoop& loop, Launch launch, std::function<void()> on_exit);

    EventLoop& loop_;
    Child child_;
    IoLine exits_;
    Ends ours_;
    std::array<std::shared_ptr<FdTransport>, standard_streams> pipes_;
    ExitWatch watch_;
};

}  // namespace detail
}  // namespace asyncio::inline v0
