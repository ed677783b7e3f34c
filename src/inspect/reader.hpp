// Reads the event loops and tasks of another process, which notices nothing: it executes not one
// instruction for it. Linux only; needs the rights of a debugger.
#pragma once

#include "inspect/descriptor.hpp"

#include <sys/types.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace asyncio::inline v0 {
namespace inspect {

// A position in the source. The first place of a snapshot is the unknown one: line 0.
struct Place {
    std::string file;
    std::string function;   // "app::fetch"
    std::string signature;  // "Coro<int> app::fetch(int)"
    unsigned line = 0;
    unsigned column = 0;
};

// A suspended coroutine; indices into Snapshot::places.
struct Frame {
    std::uint32_t function = 0;  // where it is defined
    std::uint32_t at = 0;        // the co_await where it stands
};

// Names an element of Loop::tasks or Loop::futures.
struct Reference {
    enum class Table : std::uint8_t { none, tasks, futures };
    Table table = Table::none;
    std::uint32_t index = 0;

    explicit operator bool() const noexcept { return table != Table::none; }
    friend bool operator==(const Reference&, const Reference&) = default;
};

enum class TaskStatus : std::uint8_t {
    ready,    // its next step is queued
    running,  // in the middle of a step: coroutines that it called since are missing
    waiting,
};

struct Task {
    std::uint64_t address = 0;
    std::string name;
    TaskStatus status = TaskStatus::ready;
    unsigned cancelling = 0;    // requests that were not withdrawn
    std::uint32_t created = 0;  // place
    std::vector<Frame> stack;   // outermost first
    WaitKind wait_kind = WaitKind::none;
    Reference waits_for;  // set if `wait_kind` is future, task or gathering
};

// A future that somebody waits for; also a task that is done and therefore in no list.
struct Future {
    std::uint64_t address = 0;
    FutureKind kind = FutureKind::future;
    FutureStatus status = FutureStatus::pending;
    std::string name;           // of a task
    std::uint32_t created = 0;  // place
    // What it waits for itself: the children of a gather, what a shield protects.
    std::vector<Reference> children;
};

// How far the picture of a loop can be trusted.
enum class Consistency : std::uint8_t {
    exact,  // nothing changed while it was read
    busy,   // the loop was in the middle of a step all the time, and in the same one
    torn,   // the loop went on meanwhile: parts may belong to different moments
};

struct Loop {
    std::uint64_t address = 0;
    int thread_id = 0;  // 0: does not run
    Phase phase = Phase::idle;
    std::uint64_t epoch = 0;
    bool debug = false;
    Consistency consistency = Consistency::exact;
    std::vector<Task> tasks;  // oldest first
    std::vector<Future> futures;
};

struct Snapshot {
    pid_t pid = 0;
    std::vector<Loop> loops;  // newest first
    std::vector<Place> places;
};

class ReadError : public std::runtime_error {
public:
    enum class Reason : std::uint8_t {
        no_process,       // it does not exist, or has ended
        no_permission,    // the kernel refuses
        no_asyncio,       // nothing mapped there has a descriptor
        unknown_version,  // of the descriptor
    };
    ReadError(Reason reason, const std::string& message)
        : std::runtime_error(message), reason_(reason) {}
    Reason reason() const noexcept { return reason_; }

private:
    Reason reason_;
};

// What is larger is taken for damage.
struct ReadOptions {
    int attempts = 8;  // for each loop, until the picture is exact
    std::size_t tasks_max = 20'000'000;
    std::size_t frames_max = 2'000'000;  // of one task
    std::size_t name_size_max = 4096;
};

// Raises: ReadError.
Snapshot read_process(pid_t pid, const ReadOptions& options = {});

}  // namespace inspect
}  // namespace asyncio::inline v0
