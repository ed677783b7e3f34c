// expect: a parameter of the coroutine is a reference, and the argument has another type
// The task keeps a const char*; the string made of it would be gone at the first step.

#include <asyncio/asyncio.hpp>

#include <string>

asyncio::Coro<void> greet(const std::string& name);

void start() { asyncio::create_task(greet, "you"); }
