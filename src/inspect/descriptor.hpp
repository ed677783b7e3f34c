// The descriptor: where a process keeps its event loops and what their tasks look like in memory,
// so that another process can read who waits for whom without running anything in this one. The
// format is described in docs/formats/descriptor.md; nothing here depends on the runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace asyncio::inline v0 {
namespace inspect {

inline constexpr char section_name[] = ".asyncio.debug";
inline constexpr char symbol_name[] = "asyncio_debug";
inline constexpr char magic[16] = "asyncio/debug/\n";

// A reader refuses another major version. A minor version appends fields; `size` tells how many
// there are.
inline constexpr std::uint16_t version_major = 1;
inline constexpr std::uint16_t version_minor = 0;

// Stands for a field that this build does not have.
inline constexpr std::uint32_t no_offset = 0xffffffff;

// The values of LoopTable::phase.
enum class Phase : std::uint32_t { idle, polling, running };

// The values of TaskTable::wait_kind. `future`, `task` and `gathering`: `waiting` is a future.
enum class WaitKind : std::uint8_t { none, future, task, gathering, sleep, io, primitive };

// The values of FutureTable::kind and ::status.
enum class FutureKind : std::uint8_t { future, task, gathering, shielding };
enum class FutureStatus : std::uint8_t { pending, cancelled, finished };

// Offsets are bytes from the start of the structure named in the comment.

struct LoopTable {            // the event loop
    std::uint32_t size;       // of the structure
    std::uint32_t next;       // pointer to the next loop, null at the end
    std::uint32_t tasks;      // ListTable: head of the circular list of pending tasks
    std::uint32_t epoch;      // u64, +1 with every iteration
    std::uint32_t phase;      // Phase
    std::uint32_t thread_id;  // i32, the kernel's; 0 while it does not run
    std::uint32_t debug;      // bool, debug mode
};

struct ListTable {  // a node of an intrusive list
    std::uint32_t previous;
    std::uint32_t next;  // null in a node that is in no list
};

struct TaskTable {                    // a task
    std::uint32_t size;               // of the part that every task has
    std::uint32_t node;               // ListTable: its place in the loop's list
    std::uint32_t future;             // FutureTable: the future it is
    std::uint32_t queue;              // ListTable: its place in a ready queue or with a future
    std::uint32_t name;               // u64: odd, a number shifted by one; even, a StringTable*
    std::uint32_t leaf;               // FrameTable*: the innermost suspended coroutine
    std::uint32_t waiting;            // pointer to what it waits for, or null
    std::uint32_t wait_kind;          // WaitKind
    std::uint32_t cancels_requested;  // u32: requests that were not withdrawn
    std::uint32_t flags;              // u8
    std::uint32_t flag_ended;         // mask: the coroutine has ended, `leaf` is no frame
    std::uint32_t flag_must_cancel;   // mask: a request that the next step delivers
};

struct FrameTable {          // the promise of a coroutine
    std::uint32_t size;      // of the part that every promise has
    std::uint32_t caller;    // FrameTable*: who awaits it; null for the outermost
    std::uint32_t function;  // PlaceTable*: where it is defined
    std::uint32_t at;        // PlaceTable*: the co_await where it stands
};

struct FutureTable {           // a future of any kind
    std::uint32_t size;        // of the part that every future has
    std::uint32_t target;      // what TaskTable::waiting points to
    std::uint32_t kind;        // FutureKind
    std::uint32_t status;      // FutureStatus
    std::uint32_t created_at;  // PlaceTable*, or null
};

struct GatherTable {             // a future of FutureKind::gathering
    std::uint32_t future;        // FutureTable: the future it is
    std::uint32_t children;      // pointer to the first of the children
    std::uint32_t child_count;   // u64
    std::uint32_t child_size;    // bytes from one child to the next
    std::uint32_t child_future;  // pointer to the child's future, in a child
};

struct ShieldTable {       // a future of FutureKind::shielding
    std::uint32_t future;  // FutureTable: the future it is
    std::uint32_t inner;   // pointer to the future that is shielded
};

struct PlaceTable {          // what a std::source_location points to
    std::uint32_t file;      // const char*
    std::uint32_t function;  // const char*: the whole signature
    std::uint32_t line;      // u32
    std::uint32_t column;    // u32
};

struct StringTable {     // a std::string
    std::uint32_t data;  // pointer to the characters
    std::uint32_t size;  // u64
};

struct Descriptor {
    char magic[16];
    std::uint16_t version_major;
    std::uint16_t version_minor;
    std::uint32_t size;             // of the descriptor
    std::uint32_t library_version;  // major << 16 | minor << 8 | patch
    std::uint32_t pointer_size;     // 8
    std::uint32_t first_loop;       // from the descriptor's start: pointer to the first loop
    LoopTable loop;
    ListTable list;
    TaskTable task;
    FrameTable frame;
    FutureTable future;
    GatherTable gather;
    ShieldTable shield;
    PlaceTable place;
    StringTable string;
};

// Published: fields are only ever appended.
static_assert(std::is_trivially_copyable_v<Descriptor> && std::is_standard_layout_v<Descriptor>);
static_assert(offsetof(Descriptor, loop) == 36 && offsetof(Descriptor, string) == 200 &&
              sizeof(Descriptor) == 208);

}  // namespace inspect
}  // namespace asyncio::inline v0
