// Walks a loop's list of tasks, their coroutines, and what they wait for.
#include "inspect/loop_reader.hpp"

#include "base/function_name.hpp"

#include <algorithm>
#include <cstring>

namespace asyncio::inline v0 {
namespace inspect {

namespace {

constexpr std::size_t text_size_max = 65536;
constexpr std::uint64_t children_max = 20'000'000;

constexpr bool waits_for_future(WaitKind kind) noexcept {
    return kind == WaitKind::future || kind == WaitKind::task || kind == WaitKind::gathering;
}

}  // namespace

std::uint32_t PlaceReader::read(std::uint64_t address) {
    if (address == 0) {
        return 0;
    }
    const auto [known, is_new] = known_.try_emplace(address, 0);
    if (!is_new) {
        return known->second;
    }
    std::uint64_t file = 0;
    std::uint64_t function = 0;
    Place place;
    if (!memory_.read(address + layout_.file, file) ||
        !memory_.read(address + layout_.function, function) ||
        !memory_.read(address + layout_.line, place.line) ||
        !memory_.read(address + layout_.column, place.column)) {
        return 0;
    }
    auto file_text = memory_.read_text(file, text_size_max);
    auto signature = memory_.read_text(function, text_size_max);
    if (!file_text || !signature) {
        return 0;
    }
    place.file = *std::move(file_text);
    place.signature = *std::move(signature);
    place.function = detail::function_name(place.signature);
    known->second = static_cast<std::uint32_t>(places_.size());
    places_.push_back(std::move(place));
    return known->second;
}

bool LoopReader::load(std::uint64_t address, std::uint32_t size, Block& block) {
    block.size = std::min<std::size_t>(size, structure_size_max);
    if (memory_.read(address, block.bytes.data(), block.size)) {
        return true;
    }
    damaged();
    return false;
}

template <class T>
T LoopReader::field(const Block& block, std::uint32_t offset) {
    T value{};
    if (offset <= block.size && block.size - offset >= sizeof value) {
        std::memcpy(&value, block.bytes.data() + offset, sizeof value);
    } else {
        damaged();
    }
    return value;
}

template <class T>
T LoopReader::value_at(std::uint64_t address) {
    T value{};
    if (!memory_.read(address, value)) {
        damaged();
        value = T{};
    }
    return value;
}

bool LoopReader::read_pulse(std::uint64_t address, Pulse& pulse) {
    return memory_.read_now(address + layout_.loop.epoch, pulse.epoch) &&
           memory_.read_now(address + layout_.loop.phase, pulse.phase) &&
           memory_.read_now(address + layout_.loop.thread_id, pulse.thread_id);
}

Loop LoopReader::read(std::uint64_t address) {
    loop_.address = address;
    loop_.debug = value_at<std::uint8_t>(address + layout_.loop.debug) != 0;
    read_list(address + layout_.loop.tasks);
    for (Task& task : loop_.tasks) {
        read_task(task);
    }
    // What is read may refer to more: the list grows while it is worked off.
    for (std::size_t i = 0; i < loop_.futures.size(); ++i) {
        read_future(i);
    }
    return std::move(loop_);
}

void LoopReader::read_list(std::uint64_t head) {
    auto node = value_at<std::uint64_t>(head + layout_.list.next);
    while (node != head && node != 0) {
        const std::uint64_t address = node - layout_.task.node;
        const auto index = static_cast<std::uint32_t>(loop_.tasks.size());
        if (loop_.tasks.size() >= options_.tasks_max ||
            !known_tasks_.try_emplace(address, index).second) {
            damaged();  // too many, or the list leads back into itself
            return;
        }
        std::uint64_t next = 0;
        if (!memory_.read(node + layout_.list.next, next)) {
            known_tasks_.erase(address);
            break;
        }
        Task& task = loop_.tasks.emplace_back();
        task.address = address;
        node = next;
    }
    if (node != head) {
        damaged();
    }
}

void LoopReader::read_task(Task& task) {
    const TaskTable& layout = layout_.task;
    Block block;
    if (!load(task.address, layout.size, block)) {
        return;
    }
    task.name = read_name(field<std::uint64_t>(block, layout.name));
    task.cancelling = field<std::uint32_t>(block, layout.cancels_requested);
    task.created =
        places_.read(field<std::uint64_t>(block, layout.future + layout_.future.created_at));
    const auto flags = field<std::uint8_t>(block, layout.flags);
    if ((flags & layout.flag_ended) == 0) {
        task.stack = read_stack(field<std::uint64_t>(block, layout.leaf));
    }
    read_wait(task, block);
}

void LoopReader::read_wait(Task& task, const Block& block) {
    const TaskTable& layout = layout_.task;
    const bool queued = field<std::uint64_t>(block, layout.queue + layout_.list.next) != 0;
    const auto target = field<std::uint64_t>(block, layout.waiting);
    const auto kind = field<WaitKind>(block, layout.wait_kind);
    if (target == 0) {
        task.status = queued ? TaskStatus::ready : TaskStatus::running;
        return;
    }
    if (!waits_for_future(kind)) {
        // Such a wait ends by queueing the task.
        task.status = queued ? TaskStatus::ready : TaskStatus::waiting;
        task.wait_kind = queued ? WaitKind::none : kind;
        return;
    }
    const std::uint64_t future = target - layout_.future.target;
    const auto status = value_at<FutureStatus>(future + layout_.future.status);
    if (status != FutureStatus::pending) {
        task.status = TaskStatus::ready;
        return;
    }
    task.status = TaskStatus::waiting;
    task.wait_kind = kind;
    task.waits_for = refer_to(future);
}

std::string LoopReader::read_name(std::uint64_t bits) {
    if ((bits & 1) != 0) {
        return "Task-" + std::to_string(bits >> 1);
    }
    if (layout_.string.data == no_offset) {
        return {};
    }
    const auto data = value_at<std::uint64_t>(bits + layout_.string.data);
    const auto size = value_at<std::uint64_t>(bits + layout_.string.size);
    std::string name(std::min<std::uint64_t>(size, options_.name_size_max), '\0');
    if (!memory_.read(data, name.data(), name.size())) {
        damaged();
        return {};
    }
    return name;
}

std::vector<Frame> LoopReader::read_stack(std::uint64_t leaf) {
    const FrameTable& layout = layout_.frame;
    std::vector<Frame> stack;
    // Brent's way to notice a circle: the rabbit's burrow moves to it at every power of two.
    std::uint64_t burrow = 0;
    std::size_t next_move = 1;
    Block block;
    for (std::uint64_t address = leaf; address != 0;) {
        if (address == burrow || stack.size() >= options_.frames_max ||
            !load(address, layout.size, block)) {
            damaged();
            break;
        }
        if (stack.size() == next_move) {
            burrow = address;
            next_move *= 2;
        }
        stack.push_back({.function = places_.read(field<std::uint64_t>(block, layout.function)),
                         .at = places_.read(field<std::uint64_t>(block, layout.at))});
        if (stack.back().function == 0) {
            damaged();
            stack.pop_back();
            break;
        }
        address = field<std::uint64_t>(block, layout.caller);
    }
    std::reverse(stack.begin(), stack.end());
    return stack;
}

Reference LoopReader::refer_to(std::uint64_t future) {
    if (const auto task = known_tasks_.find(future - layout_.task.future);
        task != known_tasks_.end()) {
        return {Reference::Table::tasks, task->second};
    }
    const auto index = static_cast<std::uint32_t>(loop_.futures.size());
    const auto [known, is_new] = known_futures_.try_emplace(future, index);
    if (is_new) {
        loop_.futures.emplace_back().address = future;
    }
    return {Reference::Table::futures, known->second};
}

void LoopReader::read_future(std::size_t index) {
    Future future = loop_.futures[index];
    Block block;
    if (load(future.address, layout_.future.size, block)) {
        future.kind = field<FutureKind>(block, layout_.future.kind);
        future.status = field<FutureStatus>(block, layout_.future.status);
        future.created = places_.read(field<std::uint64_t>(block, layout_.future.created_at));
        read_children(future);
    }
    loop_.futures[index] = std::move(future);
}

void LoopReader::read_children(Future& future) {
    switch (future.kind) {
    case FutureKind::future:
        break;
    case FutureKind::task: {
        const std::uint64_t task = future.address - layout_.task.future;
        future.name = read_name(value_at<std::uint64_t>(task + layout_.task.name));
        break;
    }
    case FutureKind::gathering: {
        const GatherTable& layout = layout_.gather;
        const std::uint64_t gather = future.address - layout.future;
        const auto count = value_at<std::uint64_t>(gather + layout.child_count);
        std::uint64_t child = value_at<std::uint64_t>(gather + layout.children);
        for (std::uint64_t i = 0; i < std::min(count, children_max); ++i) {
            std::uint64_t target = 0;
            if (!memory_.read(child + layout.child_future, target) || target == 0) {
                damaged();
                return;
            }
            future.children.push_back(refer_to(target));
            child += layout.child_size;
        }
        break;
    }
    case FutureKind::shielding: {
        const ShieldTable& layout = layout_.shield;
        const std::uint64_t shield = future.address - layout.future;
        const auto inner = value_at<std::uint64_t>(shield + layout.inner);
        future.children.push_back(refer_to(inner));
        break;
    }
    default:
        damaged();
    }
}

}  // namespace inspect
}  // namespace asyncio::inline v0
