// Everything of the core library.
#pragma once

#include <asyncio/address.hpp>
#include <asyncio/clock.hpp>
#include <asyncio/context.hpp>
#include <asyncio/ensure_future.hpp>
#include <asyncio/event_loop.hpp>
#include <asyncio/exception_group.hpp>
#include <asyncio/exceptions.hpp>
#include <asyncio/foreign_driver.hpp>
#include <asyncio/future.hpp>
#include <asyncio/gather.hpp>
#include <asyncio/locks.hpp>
#include <asyncio/log.hpp>
#include <asyncio/outcome.hpp>
#include <asyncio/queues.hpp>
#include <asyncio/runners.hpp>
#include <asyncio/shield.hpp>
#include <asyncio/sleep.hpp>
#include <asyncio/sockets.hpp>
#include <asyncio/task.hpp>
#include <asyncio/task_group.hpp>
#include <asyncio/timeouts.hpp>
#include <asyncio/wait.hpp>
#include <asyncio/waiter.hpp>
