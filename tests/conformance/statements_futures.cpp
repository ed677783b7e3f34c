// The statements about futures, callbacks, combinators, groups and context variables.
#include "program.hpp"

#include <algorithm>

namespace conformance {

namespace {

bool is_coroutine(const Json& target) { return target.is_object(); }

template <class Children>
Variable gather_children(Children children, bool return_exceptions) {
    if (return_exceptions) {
        return asyncio::gather(asyncio::return_exceptions, std::move(children));
    }
    return asyncio::gather(std::move(children));
}

}  // namespace

// ---- futures and callbacks

void Program::do_set_result(const Json& statement) {
    std::get<asyncio::Future<Value>>(*find(statement[1])).set_result(Value(statement[2]));
    log("set_result " + statement[1].get<std::string>());
}

void Program::do_set_exception(const Json& statement) {
    std::get<asyncio::Future<Value>>(*find(statement[1]))
        .set_exception(
            make_exception(statement[2].get<std::string>(), statement[3].get<std::string>()));
    log("set_exception " + statement[1].get<std::string>());
}

void Program::do_call_soon(const Json& statement) {
    asyncio::Handle handle = asyncio::get_running_loop().call_soon(
        [this, event = "ran " + statement[2].get<std::string>()] { log(event); });
    variables_.insert_or_assign(statement[1].get<std::string>(), std::move(handle));
}

void Program::do_call_later(const Json& statement) {
    asyncio::Handle handle = asyncio::get_running_loop().call_later(
        std::chrono::duration<double>(statement[2].get<double>()),
        [this, event = "ran " + statement[3].get<std::string>()] { log(event); });
    variables_.insert_or_assign(statement[1].get<std::string>(), std::move(handle));
}

void Program::do_handle_cancel(const Json& statement) {
    if (const Variable* const handle = find_or_log("handle_cancel", statement[1])) {
        std::get<asyncio::Handle>(*handle).cancel();
        log("handle_cancel " + statement[1].get<std::string>());
    }
}

// ---- combinators

// Unset variables are left out; a coroutine becomes a task, as gather would make it. That may start
// at once and set variables, so all of them are looked up before.
std::vector<asyncio::Future<Value>> Program::futures(const Json& targets) {
    std::vector<std::variant<asyncio::Future<Value>, asyncio::Coro<Value>>> found;
    for (const Json& target : targets) {
        if (is_coroutine(target)) {
            found.emplace_back(coro(target["coro"].get<std::string>()));
        } else if (const Variable* const variable = find(target)) {
            found.emplace_back(std::get<asyncio::Future<Value>>(*variable));
        }
    }
    std::vector<asyncio::Future<Value>> made;
    for (auto& each : found) {
        made.push_back(std::visit(
            [](auto& awaitable) {
                return asyncio::Future<Value>(asyncio::ensure_future(std::move(awaitable)));
            },
            each));
    }
    return made;
}

std::vector<asyncio::Coro<Value>> Program::coroutines(const Json& targets) {
    std::vector<asyncio::Coro<Value>> made;
    for (const Json& target : targets) {
        made.push_back(coro(target["coro"].get<std::string>()));
    }
    return made;
}

Variable Program::gather(const Json& targets, bool return_exceptions) {
    if (std::all_of(targets.begin(), targets.end(), is_coroutine)) {
        return gather_children(coroutines(targets), return_exceptions);
    }
    return gather_children(futures(targets), return_exceptions);
}

asyncio::Coro<Flow> Program::do_gather(const Json& statement) {
    const Value values = co_await await(gather(statement[1], statement[2].get<bool>()));
    log("gather -> " + show(values));
    co_return std::nullopt;
}

void Program::do_gather_as(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    variables_.insert_or_assign(variable, gather(statement[2], statement[3].get<bool>()));
    log("gather_as " + variable);
}

asyncio::Coro<Flow> Program::do_shield(const Json& statement) {
    const Json& target = statement[1];
    Value value;
    if (is_coroutine(target)) {
        value = co_await asyncio::shield(coro(target["coro"].get<std::string>()));
    } else if (const Variable* const variable = find(target)) {
        value = co_await asyncio::shield(std::get<asyncio::Future<Value>>(*variable));
    } else {
        log("shield: unset");
        co_return std::nullopt;
    }
    log("shield -> " + show(value));
    co_return std::nullopt;
}

// ---- context variables

void Program::do_ctx_set(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    contexts_.at(variable).set(statement[2].get<int>());
    log("ctx_set " + variable + " " + show(statement[2]));
}

void Program::do_ctx_get(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    log("ctx_get " + variable + " -> " + std::to_string(contexts_.at(variable).get()));
}

}  // namespace conformance
