// expect: run_workers takes a function that returns a Coro<void>
#include <asyncio/workers.hpp>

asyncio::Coro<int> serve() { co_return 1; }

int main() { asyncio::run_workers(2, serve); }
