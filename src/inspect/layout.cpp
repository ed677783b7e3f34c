// Fills the descriptor in from the classes themselves, at compile time: a process can be read from
// its first instruction to its core file.
#include <asyncio/gather.hpp>
#include <asyncio/shield.hpp>

#include "core/registry.hpp"
#include "inspect/descriptor.hpp"

#include <pthread.h>
#include <unistd.h>

// The classes have base classes and private members, for which the standard leaves offsetof to the
// compiler; both compilers define it wherever there is no virtual base.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace asyncio::inline v0 {
namespace detail {

// A friend of the classes whose layout is published.
//
// A base class has no offsetof; where it is in a class follows from a member of it.
struct InspectLayout {
    static consteval inspect::LoopTable loop() {
        return {
            .size = sizeof(EventLoop),
            .next = offsetof(EventLoop, next_loop_),
            .tasks = offsetof(EventLoop, tasks_),
            .epoch = offsetof(EventLoop, epoch_),
            .phase = offsetof(EventLoop, phase_),
            .thread_id = offsetof(EventLoop, thread_id_),
            .debug = offsetof(EventLoop, debug_),
        };
    }

    static consteval inspect::ListTable list() {
        return {.previous = offsetof(ListNode, prev), .next = offsetof(ListNode, next)};
    }

    static consteval inspect::TaskTable task() {
        // The node is the last base class, and nothing fits between it and the first member.
        static_assert(alignof(TaskNode) >= alignof(TaskName));
        constexpr std::uint32_t driver = offsetof(TaskState, waiting_) - offsetof(Driver, waiting_);
        return {
            .size = sizeof(TaskState),
            .node = offsetof(TaskState, name_) - sizeof(TaskNode),
            .future = offsetof(TaskState, created_at_) - offsetof(FutureState, created_at_),
            .queue = driver + offsetof(Driver, prev) - offsetof(ListNode, prev),
            .name = offsetof(TaskState, name_),
            .leaf = offsetof(TaskState, leaf_),
            .waiting = offsetof(TaskState, waiting_),
            .wait_kind = offsetof(TaskState, wait_kind_),
            .cancels_requested = offsetof(TaskState, cancels_requested_),
            .flags = driver + offsetof(Driver, flags_),
            .flag_ended = Driver::flag_ended,
            .flag_must_cancel = Driver::flag_must_cancel,
        };
    }

    static consteval inspect::FrameTable frame() {
        return {
            .size = sizeof(Frame),
            .caller = offsetof(Frame, caller),
            .function = offsetof(Frame, function),
            .at = offsetof(Frame, at),
        };
    }

    static consteval inspect::FutureTable future() {
        return {
            .size = sizeof(FutureState),
            .target = 0,  // the first base class with virtual functions
            .kind = offsetof(FutureState, kind_),
            .status = offsetof(FutureState, status_),
            .created_at = offsetof(FutureState, created_at_),
        };
    }

    static consteval inspect::GatherTable gather() {
        return {
            .future = offsetof(GatherBase, created_at_) - offsetof(FutureState, created_at_),
            .children = offsetof(GatherBase, children_),
            .child_count = offsetof(GatherBase, child_count_),
            .child_size = sizeof(GatherChild),
            .child_future = offsetof(GatherChild, future),
        };
    }

    static consteval inspect::ShieldTable shield() {
        return {
            .future = offsetof(ShieldBase, created_at_) - offsetof(FutureState, created_at_),
            .inner = offsetof(ShieldBase, inner_),
        };
    }

    // Private in the standard library, and the same in libstdc++ and libc++, because the compilers
    // generate it.
    static consteval inspect::PlaceTable place() {
        constexpr std::uint32_t pointer = sizeof(void*);
        return {.file = 0, .function = pointer, .line = 2 * pointer, .column = 2 * pointer + 4};
    }

    static consteval inspect::StringTable string() {
#if defined(_GLIBCXX_USE_CXX11_ABI) && _GLIBCXX_USE_CXX11_ABI
        return {.data = 0, .size = sizeof(void*)};
#else
        return {.data = inspect::no_offset, .size = inspect::no_offset};
#endif
    }

    // The smart pointers and lists are read as the pointers and nodes they consist of.
    static_assert(sizeof(IntrusiveList<TaskState, TaskNode>) == sizeof(ListNode));
    static_assert(sizeof(EventLoop::epoch_) == 8 && sizeof(EventLoop::phase_) == 4);
    static_assert(sizeof(TaskName) == 8 && sizeof(Driver::flags_) == 1);
    static_assert(sizeof(Driver::cancels_requested_) == 4);
    static_assert(sizeof(GatherBase::children_) == sizeof(void*));
    static_assert(sizeof(GatherBase::child_count_) == 8);
    static_assert(sizeof(StatePtr<FutureState>) == sizeof(void*));
    static_assert(sizeof(std::source_location) == sizeof(void*));
};

namespace {

// What the published numbers mean.
template <class Published, class Own>
constexpr bool same(Published published, Own own) {
    return static_cast<unsigned>(published) == static_cast<unsigned>(own);
}
static_assert(same(inspect::Phase::idle, LoopPhase::idle));
static_assert(same(inspect::Phase::polling, LoopPhase::polling));
static_assert(same(inspect::Phase::running, LoopPhase::running));
static_assert(same(inspect::WaitKind::none, WaitKind::none));
static_assert(same(inspect::WaitKind::future, WaitKind::future));
static_assert(same(inspect::WaitKind::task, WaitKind::task));
static_assert(same(inspect::WaitKind::gathering, WaitKind::gathering));
static_assert(same(inspect::WaitKind::sleep, WaitKind::sleep));
static_assert(same(inspect::WaitKind::io, WaitKind::io));
static_assert(same(inspect::WaitKind::primitive, WaitKind::primitive));
static_assert(same(inspect::FutureKind::future, FutureKind::future));
static_assert(same(inspect::FutureKind::task, FutureKind::task));
static_assert(same(inspect::FutureKind::gathering, FutureKind::gathering));
static_assert(same(inspect::FutureKind::shielding, FutureKind::shielding));
static_assert(same(inspect::FutureStatus::pending, FutureStatus::pending));
static_assert(same(inspect::FutureStatus::cancelled, FutureStatus::cancelled));
static_assert(same(inspect::FutureStatus::finished, FutureStatus::finished));

struct Exported {
    inspect::Descriptor descriptor;
    std::atomic<EventLoop*> first_loop;
};

consteval inspect::Descriptor describe() {
    inspect::Descriptor descriptor{
        .magic = {},
        .version_major = inspect::version_major,
        .version_minor = inspect::version_minor,
        .size = sizeof(inspect::Descriptor),
        .library_version =
            ASYNCIO_VERSION_MAJOR << 16 | ASYNCIO_VERSION_MINOR << 8 | ASYNCIO_VERSION_PATCH,
        .pointer_size = sizeof(void*),
        .first_loop = offsetof(Exported, first_loop),
        .loop = InspectLayout::loop(),
        .list = InspectLayout::list(),
        .task = InspectLayout::task(),
        .frame = InspectLayout::frame(),
        .future = InspectLayout::future(),
        .gather = InspectLayout::gather(),
        .shield = InspectLayout::shield(),
        .place = InspectLayout::place(),
        .string = InspectLayout::string(),
    };
    for (std::size_t i = 0; i < sizeof descriptor.magic; ++i) {
        descriptor.magic[i] = inspect::magic[i];
    }
    return descriptor;
}

}  // namespace
}  // namespace detail
}  // namespace asyncio::inline v0

// A section of its own is found in stripped files, too; the symbol is for debuggers. Protected: a
// plugin with its own copy of the library must not fill in that of another.
extern "C" {
[[gnu::section(".asyncio.debug"), gnu::used, gnu::visibility("protected")]]
constinit asyncio::detail::Exported asyncio_debug{asyncio::detail::describe(), nullptr};
}

namespace asyncio::inline v0 {
namespace detail {

std::atomic<EventLoop*>& first_loop() noexcept { return asyncio_debug.first_loop; }

namespace {

// Asked for by every run of a loop, and a system call; 0 if this thread did not ask yet.
constinit thread_local std::int32_t known_thread_id = 0;

}  // namespace

std::int32_t kernel_thread_id() noexcept {
    if (known_thread_id == 0) {
        [[maybe_unused]] static const int registered =
            ::pthread_atfork(nullptr, nullptr, [] { known_thread_id = 0; });
        known_thread_id = ::gettid();
    }
    return known_thread_id;
}

}  // namespace detail
}  // namespace asyncio::inline v0
