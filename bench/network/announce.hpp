// How a server tells the load where it listens.
#pragma once

#include <cstdio>

namespace bench {

inline void announce(unsigned port) {
    std::printf("port %u\n", port);
    std::fflush(stdout);
}

}  // namespace bench
