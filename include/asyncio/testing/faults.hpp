// What goes wrong on the way between two ends of a connection, for tests: pieces, delays, cuts.
#pragma once

#include <asyncio/clock.hpp>
#include <asyncio/detail/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace asyncio::inline v0 {
namespace testing {

/// How a connection is cut.
enum class Cut : std::uint8_t {
    reset,    ///< both ends get ECONNRESET, the sender once it sends more
    eof,      ///< the receiver sees the end of the stream; what is sent after it is lost
    silence,  ///< nothing arrives any more, and nobody is told
};

/// What happens to the bytes that one end sends; by default nothing.
///
/// The same faults and the same calls give the same pieces at the same times.
struct ASYNCIO_API Faults {
    /// The receiver gets at most so many bytes at once; 0: all that are there.
    std::size_t read_max = 0;
    /// At most so many bytes of the sender are taken at once; 0: as many as there is room for.
    std::size_t write_max = 0;
    /// Pieces of all sizes, from one byte to the limits above; without a limit, to 4 KiB.
    std::optional<std::uint64_t> seed{};
    /// How long a byte is on its way.
    Duration latency{};
    /// How many bytes leave in a second, in pieces of at most 1 KiB; 0: no limit.
    std::size_t bytes_per_second = 0;
    /// So many bytes arrive, then comes the cut.
    std::optional<std::size_t> cut_after{};
    Cut cut = Cut::reset;
    /// How many bytes may be on their way or wait to be received, as in a kernel's buffers: what is
    /// sent beyond that waits in the sender's transport. At least 1.
    std::size_t capacity = std::size_t{64} * 1024;

    /// Faults by chance, any of the above; the same for the same seed. Print `str` when a test
    /// fails.
    static Faults random(std::uint64_t seed);
    /// As C++ for whoever wants to repeat it: "{.read_max = 3, .seed = 17}".
    std::string str() const;

    friend bool operator==(const Faults&, const Faults&) = default;
};

/// The two ways of a connection between `client` and `server`, which differ in nothing but name.
struct FaultyLink {
    Faults to_server{};
    Faults to_client{};
};

}  // namespace testing
}  // namespace asyncio::inline v0
