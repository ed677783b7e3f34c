// expect: no matching .*run_until_complete
// Only coroutines and futures can be waited for.

#include <asyncio/asyncio.hpp>

void run(asyncio::EventLoop& loop) { loop.run_until_complete(42); }
