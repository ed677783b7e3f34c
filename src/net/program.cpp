// Programs with pipes.
#include "net/program.hpp"

#include "io/socket_access.hpp"
#include "io/system_call.hpp"
#include "net/pipes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace asyncio::inline v0 {
namespace detail {

Program::Launch::Launch(std::vector<std::string> arguments, ProcessOptions options) {
    request.argv = std::move(arguments);
    request.executable = std::move(options.executable);
    request.cwd = std::move(options.cwd);
    request.env = std::move(options.env);
    request.standard_input = redirected(options.stdin, STDIN_FILENO);
    request.standard_output = redirected(options.stdout, STDOUT_FILENO);
    request.standard_error = redirected(options.stderr, STDERR_FILENO);
    request.pass_fds = std::move(options.pass_fds);
    request.start_new_session = options.start_new_session;
    request.process_group = options.process_group;
    request.restore_signals = options.restore_signals;
}

Stdio Program::Launch::redirected(subprocess::Redirection wanted, int number) {
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
    int fds[2];
    check(::pipe2(fds, O_CLOEXEC), "pipe2");
    const auto index = static_cast<std::size_t>(number);
    const bool we_write = number == STDIN_FILENO;
    ours[index] = SocketAccess::adopt(fds[we_write ? 1 : 0]);
    theirs[index] = SocketAccess::adopt(fds[we_write ? 0 : 1]);
    check(::fcntl(ours[index].fileno(), F_SETFL, O_NONBLOCK), "fcntl");
    return Stdio::descriptor(theirs[index].fileno());
}

Program::Program(EventLoop& loop, Launch launch, std::function<void()> on_exit)
    : loop_(loop), child_(launch.request), ours_(std::move(launch.ours)),
      watch_(loop, child_, [this, on_exit = std::move(on_exit)](int) {
          exits_.wake_all();
          if (on_exit) {
              on_exit();
          }
      }) {}

void Program::connect(const std::function<std::shared_ptr<Protocol>(int number)>& make_protocol,
                      std::function<void()> connected) {
    for (std::size_t i = 0; i < ours_.size(); ++i) {
        if (ours_[i]) {
            pipes_[i] = begin_pipe(loop_, std::move(ours_[i]),
                                   i == STDIN_FILENO ? FdTransport::Kind::write_pipe
                                                     : FdTransport::Kind::read_pipe,
                                   make_protocol(static_cast<int>(i)));
        }
    }
    loop_.call_soon(std::move(connected));
}

bool Program::has_pipes() const noexcept {
    return std::any_of(ours_.begin(), ours_.end(),
                       [](const Socket& end) { return static_cast<bool>(end); });
}

void Program::close_pipes() const {
    for (const auto& pipe : pipes_) {
        if (pipe != nullptr) {
            pipe->close();
        }
    }
}

std::shared_ptr<FdTransport> Program::pipe(int number) const noexcept {
    const auto index = static_cast<std::size_t>(number);
    return index < pipes_.size() ? pipes_[index] : nullptr;
}

Coro<int> Program::wait(std::shared_ptr<Program> self) {
    while (!self->child_.returncode()) {
        co_await self->exits_.wait();
    }
    co_return *self->child_.returncode();
}

}  // namespace detail
}  // namespace asyncio::inline v0
