// Reads one loop once. What it reads may change meanwhile or be garbage, so everything is checked
// before it is used, and what fails a check is left out and marked.
#pragma once

#include "inspect/memory.hpp"
#include "inspect/reader.hpp"

#include <array>
#include <unordered_map>
#include <vector>

namespace asyncio::inline v0 {
namespace inspect {

// The part of a loop that tells whether the rest changed.
struct Pulse {
    std::uint64_t epoch = 0;
    Phase phase = Phase::idle;
    std::int32_t thread_id = 0;

    friend bool operator==(const Pulse&, const Pulse&) = default;
};

// The places of a snapshot, each once.
class PlaceReader {
public:
    PlaceReader(Memory& memory, const PlaceTable& layout, std::vector<Place>& places)
        : memory_(memory), layout_(layout), places_(places) {}

    // The index of the place at an address; 0 for null or if it cannot be read.
    std::uint32_t read(std::uint64_t address);

private:
    Memory& memory_;
    const PlaceTable& layout_;
    std::vector<Place>& places_;
    std::unordered_map<std::uint64_t, std::uint32_t> known_;
};

// Invariants:
//  1. known_tasks_ has the address of every element of loop_.tasks, known_futures_ of
//  loop_.futures.
//  2. `intact_` turns false with the first thing that failed a check.
class LoopReader {
public:
    LoopReader(Memory& memory, const Descriptor& layout, PlaceReader& places,
               const ReadOptions& options)
        : memory_(memory), layout_(layout), places_(places), options_(options) {}

    // False if there is no loop at that address.
    bool read_pulse(std::uint64_t address, Pulse& pulse);
    // Sets everything except the fields of the pulse. Call once.
    Loop read(std::uint64_t address);
    bool intact() const noexcept { return intact_; }

private:
    // No structure is larger.
    static constexpr std::size_t structure_size_max = 4096;

    // A copy of one structure, to take fields from.
    struct Block {
        std::array<std::byte, structure_size_max> bytes;
        std::size_t size = 0;
    };

    bool load(std::uint64_t address, std::uint32_t size, Block& block);
    template <class T>
    T field(const Block& block, std::uint32_t offset);
    template <class T>
    T value_at(std::uint64_t address);
    void damaged() noexcept { intact_ = false; }

    void read_list(std::uint64_t address);
    void read_task(Task& task);
    void read_wait(Task& task, const Block& block);
    std::string read_name(std::uint64_t bits);
    std::vector<Frame> read_stack(std::uint64_t leaf);
    Reference refer_to(std::uint64_t future);
    void read_future(std::size_t index);
    void read_children(Future& future);

    Memory& memory_;
    const Descriptor& layout_;
    PlaceReader& places_;
    const ReadOptions& options_;
    Loop loop_;
    std::unordered_map<std::uint64_t, std::uint32_t> known_tasks_;
    std::unordered_map<std::uint64_t, std::uint32_t> known_futures_;
    bool intact_ = true;
};

}  // namespace inspect
}  // namespace asyncio::inline v0
