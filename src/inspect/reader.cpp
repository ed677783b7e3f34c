// Finds the descriptors of a process and reads its loops, several times if they change meanwhile.
#include "inspect/reader.hpp"

#include "inspect/elf.hpp"
#include "inspect/loop_reader.hpp"
#include "inspect/process.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>

namespace asyncio::inline v0 {
namespace inspect {

namespace {

using Mappings = std::vector<Mapping>;

// A process has one loop a thread, and some that wait to be used.
constexpr std::size_t loops_max = 65536;
// The initialised data of a program is smaller.
constexpr std::uint64_t data_size_max = 256 << 20;
// A loop that runs is looked at again after this long, and twice as long every time.
constexpr std::chrono::microseconds first_pause(200);

bool has_magic(Process& process, std::uint64_t address) {
    char text[sizeof magic];
    return process.read(address, text) && std::memcmp(text, magic, sizeof magic) == 0;
}

// One mapped file may hold one descriptor; the file may be mapped more than once.
void find_by_section(Process& process, const Mappings& mappings, const SectionSearch& search,
                     std::vector<std::uint64_t>& found) {
    for (const Mapping& mapping : mappings) {
        const std::uint64_t address = mapping.begin - search.first_address + search.address;
        if (mapping.file_offset == search.first_offset && has_magic(process, address)) {
            found.push_back(address);
        }
    }
}

// For files that cannot be opened, or have lost their sections.
void find_by_magic(Process& process, const Mappings& mappings, std::vector<std::uint64_t>& found) {
    for (const Mapping& mapping : mappings) {
        if (!mapping.is_data || mapping.end - mapping.begin > data_size_max) {
            continue;
        }
        for (std::uint64_t address = mapping.begin; address + sizeof(Descriptor) <= mapping.end;
             address += alignof(std::uint64_t)) {
            if (has_magic(process, address)) {
                found.push_back(address);
            }
        }
    }
}

// Every file is looked at: the library may be linked into the program, or into any shared object.
std::vector<std::uint64_t> find_descriptors(Process& process) {
    std::map<std::string, Mappings> files;
    for (Mapping& mapping : process.file_mappings()) {
        files[mapping.path].push_back(std::move(mapping));
    }
    std::vector<std::uint64_t> found;
    for (const auto& [path, mappings] : files) {
        SectionSearch search;
        for (const std::string& name : process.paths_of(mappings.front())) {
            search = find_section(name, section_name);
            if (search.outcome != SectionSearch::Outcome::unknown) {
                break;
            }
        }
        if (search.outcome == SectionSearch::Outcome::found) {
            find_by_section(process, mappings, search, found);
        } else if (search.outcome == SectionSearch::Outcome::unknown) {
            find_by_magic(process, mappings, found);
        }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (found.empty()) {
        throw ReadError(ReadError::Reason::no_asyncio,
                        "process " + std::to_string(process.pid()) +
                            " does not use asyncio: none of its " + std::to_string(files.size()) +
                            " mapped files has a section " + section_name);
    }
    return found;
}

Descriptor read_descriptor(Process& process, std::uint64_t address) {
    Descriptor descriptor{};
    const bool complete = process.read(address, descriptor);
    if (!complete || descriptor.version_major != version_major ||
        descriptor.size < sizeof descriptor || descriptor.pointer_size != sizeof(void*)) {
        throw ReadError(
            ReadError::Reason::unknown_version,
            "process " + std::to_string(process.pid()) + " has a descriptor of version " +
                std::to_string(descriptor.version_major) + "." +
                std::to_string(descriptor.version_minor) + " for " +
                std::to_string(descriptor.pointer_size * 8) +
                " bits, and this program reads version " + std::to_string(version_major) +
                " for 64 bits: use the program that "
                "belongs to the library in the process");
    }
    return descriptor;
}

std::vector<std::uint64_t> list_loops(Process& process, const Descriptor& descriptor,
                                      std::uint64_t address) {
    std::vector<std::uint64_t> loops;
    std::uint64_t link = address + descriptor.first_loop;
    std::uint64_t loop = 0;
    while (loops.size() < loops_max && process.read_now(link, loop) && loop != 0 &&
           std::find(loops.begin(), loops.end(), loop) == loops.end()) {
        loops.push_back(loop);
        link = loop + descriptor.loop.next;
    }
    return loops;
}

Loop read_once(LoopReader& reader, std::uint64_t address, const Pulse& before) {
    Loop loop = reader.read(address);
    Pulse after;
    const bool held = reader.read_pulse(address, after) && before == after && reader.intact();
    loop.consistency = !held                            ? Consistency::torn
                       : before.phase == Phase::running ? Consistency::busy
                                                        : Consistency::exact;
    loop.epoch = before.epoch;
    loop.phase = before.phase;
    loop.thread_id = before.thread_id;
    return loop;
}

// Reads a loop when it waits, and again if it went on meanwhile. One that does not wait during all
// attempts is read as it is.
Loop read_loop(Process& process, const Descriptor& descriptor, std::uint64_t address,
               PlaceReader& places, const ReadOptions& options) {
    auto pause = first_pause;
    for (int attempt = 1;; ++attempt) {
        const bool is_last = attempt >= options.attempts;
        process.forget();
        LoopReader reader(process, descriptor, places, options);
        Pulse before;
        const bool began = reader.read_pulse(address, before);
        if (is_last || (began && before.phase != Phase::running)) {
            Loop loop = read_once(reader, address, before);
            if (is_last || loop.consistency == Consistency::exact) {
                return loop;
            }
        }
        std::this_thread::sleep_for(pause);
        pause *= 2;
    }
}

}  // namespace

Snapshot read_process(pid_t pid, const ReadOptions& options) {
    Process process(pid);
    Snapshot snapshot;
    snapshot.pid = pid;
    snapshot.places.emplace_back();
    for (const std::uint64_t address : find_descriptors(process)) {
        const Descriptor descriptor = read_descriptor(process, address);
        PlaceReader places(process, descriptor.place, snapshot.places);
        std::vector<Loop> loops;
        for (const std::uint64_t loop : list_loops(process, descriptor, address)) {
            loops.push_back(read_loop(process, descriptor, loop, places, options));
        }
        // A loop that was closed meanwhile may have left other things in its place.
        const auto alive = list_loops(process, descriptor, address);
        for (Loop& loop : loops) {
            if (std::find(alive.begin(), alive.end(), loop.address) != alive.end()) {
                snapshot.loops.push_back(std::move(loop));
            }
        }
    }
    return snapshot;
}

}  // namespace inspect
}  // namespace asyncio::inline v0
