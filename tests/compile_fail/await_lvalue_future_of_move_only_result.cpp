// expect: awaiting an lvalue copies the result, .* write co_await std::move\(future\)
// The handle stays, and so must the result; a result that cannot be copied has to be moved out.

#include <asyncio/asyncio.hpp>

#include <memory>

asyncio::Coro<int> take(asyncio::Future<std::unique_ptr<int>> future) {
    co_return *co_await future;
}
