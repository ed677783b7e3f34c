// expect: a handler of except_star is a lambda that names the class it takes
// A handler that would take everything.

#include <asyncio/asyncio.hpp>

void handle() {
    asyncio::except_star([](const auto&) {});
}
