// expect: no matching function for call to .*ensure_future
// Where Python raises TypeError, the program does not compile.

#include <asyncio/asyncio.hpp>

void make() { asyncio::ensure_future(42); }
