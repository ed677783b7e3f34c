// A pool that is older than the standard streams: this file does not include <iostream>, and
// nothing that is made before it does.
#include <asyncio/process_pool.hpp>

namespace {

asyncio::ProcessPoolExecutor pool(1);

int add(int a, int b) { return a + b; }

}  // namespace

int main() { return pool.submit(asyncio::function<&add>, 1, 2).result() == 3 ? 0 : 1; }
