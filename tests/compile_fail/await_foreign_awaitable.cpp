// expect: this type cannot be awaited here: .* complete an asyncio::Future
// An awaiter of another library knows nothing of cancellation and of the loop.

#include <asyncio/asyncio.hpp>

asyncio::Coro<void> suspend() { co_await std::suspend_always(); }
