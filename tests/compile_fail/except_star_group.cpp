// expect: except_star looks into groups: name the class of the exceptions in them
// Groups are taken apart, so that it would never be called.

#include <asyncio/asyncio.hpp>

void handle() {
    asyncio::except_star([](const asyncio::ExceptionGroup&) {});
}
