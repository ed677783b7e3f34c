// A getaddrinfo for the tests. It takes the place of the C library's for everything in the
// process, libcurl included, so that a test can say how slow a name server is, and can see that
// nobody but the library's own threads ever asks one.
#pragma once

#include <string>
#include <vector>

namespace scripted_names {

/// Names that end in ".test" follow the script; all others go to the C library:
///   missing.test, again.test   fail with EAI_NONAME, EAI_AGAIN
///   slow*.test                 wait for `release_slow_names`
///   every other                has the address 127.0.0.1, preceded, if the name begins with
///                              "two", by 127.255.255.254, where nobody listens
struct NameScript {
    /// Names that were asked for, in order, and from which threads ("asyncio-dns_0").
    static std::vector<std::string> asked();
    static std::vector<std::string> threads();
    /// Look-ups that wait for release_slow_names at this moment.
    static std::size_t waiting();
    static void release_slow_names();
    /// Forgets what was asked, and holds slow names again.
    static void reset();
};

}  // namespace scripted_names
