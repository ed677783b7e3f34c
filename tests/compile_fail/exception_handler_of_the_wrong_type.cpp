// expect: an exception handler is called as handler\(EventLoop&, const ErrorContext&\)
// One that takes the context only.

#include <asyncio/asyncio.hpp>

void install(asyncio::EventLoop& loop) {
    loop.set_exception_handler([](const asyncio::ErrorContext&) {});
}
