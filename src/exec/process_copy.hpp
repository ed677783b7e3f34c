// What all copies of the program have in common that do not go on as it does: those of process
// pools and those of run_workers.
#pragma once

#include <sys/types.h>

#include <string>

namespace asyncio::inline v0 {
namespace detail {

/// How many threads the program has. A copy has only one of them, but all that the others locked.
/// One that has ended, and was joined, still counts for a moment: so this waits a moment for the
/// number to become one.
int count_threads();

/// Makes a process by `fork`: returns 0 in it. What the program has printed, but not yet written,
/// is not printed twice. Raises: std::system_error.
pid_t fork_program();

/// In the new process: it is killed when the thread that forked it ends, which must be the
/// program's only one, has a name for tools, and `exit` ends it without what belongs to the
/// program.
void become_copy(pid_t parent, const char* name) noexcept;

/// Writes what was printed, and ends this copy.
[[noreturn]] void end_copy(int code) noexcept;

/// How a process has ended, by its status from waitpid: "was ended by SIGSEGV (Segmentation
/// fault)", "has exited with code 1".
std::string describe_status(int status);

}  // namespace detail
}  // namespace asyncio::inline v0
