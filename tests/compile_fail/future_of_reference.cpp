// expect: a future cannot hold a reference: use a pointer or std::reference_wrapper
// A result outlives the coroutine that gave it, and what a reference names may not.

#include <asyncio/asyncio.hpp>

asyncio::Future<int&> make(asyncio::EventLoop& loop) { return loop.create_future<int&>(); }
