// The statements about locks, events, conditions, semaphores, barriers and queues.
#include "program.hpp"

namespace conformance {

namespace {

template <class Kind>
bool is_a(const Variable& variable) {
    return std::holds_alternative<std::shared_ptr<Kind>>(variable);
}

// Calls `action` with the object, which is one of these kinds.
template <class First, class... Rest, class Action>
auto with(const Variable& variable, Action action) {
    if constexpr (sizeof...(Rest) == 0) {
        return action(*std::get<std::shared_ptr<First>>(variable));
    } else {
        return is_a<First>(variable) ? action(*std::get<std::shared_ptr<First>>(variable))
                                     : with<Rest...>(variable, action);
    }
}

template <class Action>
auto with_lock(const Variable& variable, Action action) {
    return with<asyncio::Lock, asyncio::Condition, asyncio::Semaphore>(variable, action);
}

template <class Action>
auto with_queue(const Variable& variable, Action action) {
    return with<asyncio::Queue<Value>, asyncio::LifoQueue<Value>, LeastFirst>(variable, action);
}

// Whether somebody could have it now, those who stand in line first.
constexpr auto is_free = [](const auto& lock) {
    if constexpr (std::same_as<decltype(lock), const asyncio::Semaphore&>) {
        return lock.statistics().value > 0;
    } else {
        return !lock.locked();
    }
};

std::string name_in(const Json& statement) { return statement[1].get<std::string>(); }

}  // namespace

bool ByContent::operator()(const Value& a, const Value& b) const {
    return std::get<Json>(a.content) < std::get<Json>(b.content);
}

Variable make_primitive(const std::string& kind, const Json& object) {
    const std::size_t number = object.size() > 1 ? object[1].get<std::size_t>() : 0;
    if (kind == "Lock") {
        return std::make_shared<asyncio::Lock>();
    }
    if (kind == "Event") {
        return std::make_shared<asyncio::Event>();
    }
    if (kind == "Condition") {
        return std::make_shared<asyncio::Condition>();
    }
    if (kind == "Semaphore") {
        return std::make_shared<asyncio::Semaphore>(number);
    }
    if (kind == "Barrier") {
        return std::make_shared<asyncio::Barrier>(number);
    }
    if (kind == "Queue") {
        return std::make_shared<asyncio::Queue<Value>>(number);
    }
    if (kind == "LifoQueue") {
        return std::make_shared<asyncio::LifoQueue<Value>>(number);
    }
    if (kind == "PriorityQueue") {
        return std::make_shared<LeastFirst>(number);
    }
    throw Unsupported("object " + kind);
}

// ---- locks

asyncio::Coro<void> Program::acquire(const Json& statement) {
    const Variable& variable = *find(statement[1]);
    const Wait wait(*this, statement, [&variable] { return with_lock(variable, is_free); });
    co_await with_lock(variable, [](auto& lock) -> asyncio::Coro<void> { return lock.acquire(); });
}

asyncio::Coro<Flow> Program::do_acquire(const Json& statement) {
    co_await acquire(statement);
    log("acquire " + name_in(statement));
    co_return std::nullopt;
}

void Program::do_release(const Json& statement) {
    with_lock(*find(statement[1]), [](auto& lock) { lock.release(); });
    log("release " + name_in(statement));
}

void Program::do_locked(const Json& statement) {
    const bool locked =
        with_lock(*find(statement[1]), [](const auto& lock) { return lock.locked(); });
    log("locked " + name_in(statement) + " -> " + (locked ? "true" : "false"));
}

asyncio::Coro<Flow> Program::do_with(const Json& statement) {
    const Variable variable = *find(statement[1]);
    co_await acquire(statement);
    log("with " + name_in(statement));
    Flow flow;
    std::exception_ptr error;
    try {
        flow = co_await block(statement[2]);
    } catch (...) {
        error = std::current_exception();
    }
    with_lock(variable, [](auto& lock) { lock.release(); });
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    log("without " + name_in(statement));
    co_return flow;
}

asyncio::Coro<Flow> Program::do_event_wait(const Json& statement) {
    asyncio::Event& event = *std::get<std::shared_ptr<asyncio::Event>>(*find(statement[1]));
    const Wait wait(*this, statement, [&event] { return event.is_set(); });
    co_await event.wait();
    log("event_wait " + name_in(statement));
    co_return std::nullopt;
}

void Program::do_event_set(const Json& statement) {
    std::get<std::shared_ptr<asyncio::Event>>(*find(statement[1]))->set();
    log("event_set " + name_in(statement));
}

void Program::do_event_clear(const Json& statement) {
    std::get<std::shared_ptr<asyncio::Event>>(*find(statement[1]))->clear();
    log("event_clear " + name_in(statement));
}

asyncio::Coro<Flow> Program::do_cond_wait(const Json& statement) {
    co_await std::get<std::shared_ptr<asyncio::Condition>>(*find(statement[1]))->wait();
    log("cond_wait " + name_in(statement));
    co_return std::nullopt;
}

void Program::do_cond_notify(const Json& statement) {
    std::get<std::shared_ptr<asyncio::Condition>>(*find(statement[1]))
        ->notify(statement[2].get<std::size_t>());
    log("cond_notify " + name_in(statement) + " " + statement[2].dump());
}

asyncio::Coro<Flow> Program::do_barrier_wait(const Json& statement) {
    asyncio::Barrier& barrier = *std::get<std::shared_ptr<asyncio::Barrier>>(*find(statement[1]));
    const Wait wait(*this, statement, [&barrier] {
        return barrier.broken() || barrier.n_waiting() == barrier.parties();
    });
    const std::size_t index = co_await barrier.wait();
    log("barrier_wait " + name_in(statement) + " -> " + std::to_string(index));
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_barrier_reset(const Json& statement) {
    co_await std::get<std::shared_ptr<asyncio::Barrier>>(*find(statement[1]))->reset();
    log("barrier_reset " + name_in(statement));
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_barrier_abort(const Json& statement) {
    co_await std::get<std::shared_ptr<asyncio::Barrier>>(*find(statement[1]))->abort();
    log("barrier_abort " + name_in(statement));
    co_return std::nullopt;
}

// ---- queues

asyncio::Coro<Flow> Program::do_put(const Json& statement) {
    const Value value(statement[2]);
    const Variable& variable = *find(statement[1]);
    const Wait wait(*this, statement, [&variable] {
        return with_queue(variable, [](const auto& queue) { return !queue.full(); });
    });
    co_await with_queue(variable,
                        [&value](auto& queue) -> asyncio::Coro<void> { return queue.put(value); });
    log("put " + name_in(statement) + " " + show(value));
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_get(const Json& statement) {
    const Variable& variable = *find(statement[1]);
    const Wait wait(*this, statement, [&variable] {
        return with_queue(variable, [](const auto& queue) { return !queue.empty(); });
    });
    const Value value = co_await with_queue(
        variable, [](auto& queue) -> asyncio::Coro<Value> { return queue.get(); });
    log("get " + name_in(statement) + " -> " + show(value));
    co_return std::nullopt;
}

void Program::do_put_nowait(const Json& statement) {
    const Value value(statement[2]);
    with_queue(*find(statement[1]), [&value](auto& queue) { queue.put_nowait(value); });
    log("put_nowait " + name_in(statement) + " " + show(value));
}

void Program::do_get_nowait(const Json& statement) {
    const Value value =
        with_queue(*find(statement[1]), [](auto& queue) { return queue.get_nowait(); });
    log("get_nowait " + name_in(statement) + " -> " + show(value));
}

void Program::do_task_done(const Json& statement) {
    try {
        with_queue(*find(statement[1]), [](auto& queue) { queue.task_done(); });
    } catch (const asyncio::ValueError&) {
        log("task_done " + name_in(statement) + ": too many");
        return;
    }
    log("task_done " + name_in(statement));
}

asyncio::Coro<Flow> Program::do_join(const Json& statement) {
    co_await with_queue(*find(statement[1]),
                        [](auto& queue) -> asyncio::Coro<void> { return queue.join(); });
    log("join " + name_in(statement));
    co_return std::nullopt;
}

void Program::do_shutdown(const Json& statement) {
    const bool immediate = statement[2].get<bool>();
    with_queue(*find(statement[1]), [immediate](auto& queue) { queue.shutdown(immediate); });
    log("shutdown " + name_in(statement));
}

void Program::do_qsize(const Json& statement) {
    const std::size_t size =
        with_queue(*find(statement[1]), [](const auto& queue) { return queue.qsize(); });
    log("qsize " + name_in(statement) + " -> " + std::to_string(size));
}

}  // namespace conformance
