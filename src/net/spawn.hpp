// Starting a program: the part of subprocesses that knows neither loops nor streams.
#pragma once

#include <asyncio/detail/config.hpp>

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

// Where a standard descriptor of a program leads.
class Stdio {
public:
    enum class Kind : std::uint8_t { inherited, null_device, descriptor, standard_output };

    // To where the parent's own leads.
    constexpr Stdio() noexcept = default;
    // To what a descriptor of the parent leads to; the parent keeps its own.
    static constexpr Stdio descriptor(int fd) noexcept { return {Kind::descriptor, fd}; }
    static constexpr Stdio null_device() noexcept { return {Kind::null_device, -1}; }
    // To where the program's standard output leads. For its standard error.
    static constexpr Stdio standard_output() noexcept { return {Kind::standard_output, -1}; }

    constexpr Kind kind() const noexcept { return kind_; }
    constexpr int fd() const noexcept { return fd_; }

private:
    constexpr Stdio(Kind kind, int fd) noexcept : kind_(kind), fd_(fd) {}

    Kind kind_ = Kind::inherited;
    int fd_ = -1;
};

// What to start, and how. The defaults are those of Python's subprocess.
struct SpawnRequest {
    // At least the name by which the program is called.
    std::vector<std::string> argv;
    // Empty: argv[0]. A name without a slash is looked up in the PATH of `env`.
    std::string executable{};
    // Empty: the parent's. Relative names of the program are looked up in it.
    std::string cwd{};
    // As "NAME=value". Without a value: the parent's.
    std::optional<std::vector<std::string>> env{};

    Stdio standard_input{};
    Stdio standard_output{};
    Stdio standard_error{};
    // These keep their numbers; all others above the standard ones are closed, even those that a
    // library forgot to close on exec.
    std::vector<int> pass_fds{};

    bool start_new_session = false;
    // 0: a group of its own.
    std::optional<pid_t> process_group{};
    // Whether no signal is blocked, and SIGPIPE and SIGXFSZ are not ignored, whatever the parent
    // does. Signals that the parent handles have their default dispositions in any case.
    bool restore_signals = true;
};

// Starts a program. It runs when this returns; the caller must wait for it.
//
// Raises: ValueError for no arguments, and for zero bytes in any text; std::system_error. Then no
// process is left, and no descriptor is open. If the program or the directory is to blame, it is a
// std::filesystem::filesystem_error, whose `path1` tells which of the two.
//
// Thread safety: any thread. Cost: blocks until the program runs, for some 100 us. Source: S301,
// S302.
[[nodiscard]] pid_t spawn(const SpawnRequest& request);

}  // namespace detail
}  // namespace asyncio::inline v0
