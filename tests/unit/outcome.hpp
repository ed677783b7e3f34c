// What something that can be awaited ends with, as text.
#pragma once

#include <asyncio/coro.hpp>
#include <asyncio/exceptions.hpp>

#include <exception>
#include <string>
#include <utility>

/// "none" for a result, "cancelled", or the description of the error.
template <class A>
asyncio::Coro<std::string> outcome(A awaitable) {
    try {
        co_await std::move(awaitable);
        co_return "none";
    } catch (const asyncio::CancelledError&) {
        co_return "cancelled";
    } catch (...) {
        co_return asyncio::describe_exception(std::current_exception());
    }
}
