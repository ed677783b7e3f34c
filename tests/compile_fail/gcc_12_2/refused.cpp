// expect: GCC 12
// A user of GCC 12.2 reads one clear sentence instead of debugging broken coroutines.

#include <asyncio/asyncio.hpp>

int main() {}
