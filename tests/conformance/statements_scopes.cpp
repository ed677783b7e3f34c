// The statements about groups and deadlines.
#include "program.hpp"

namespace conformance {

namespace {

std::optional<asyncio::TimePoint> deadline(const Json& delay) {
    if (delay.is_null()) {
        return std::nullopt;
    }
    return asyncio::detail::later(asyncio::get_running_loop().time(),
                                  asyncio::detail::from_seconds(delay.get<double>()));
}

}  // namespace

asyncio::Coro<Flow> Program::do_task_group(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    const auto group = std::make_shared<asyncio::TaskGroup>();
    Flow flow =
        co_await asyncio::task_group(*group, [&](asyncio::TaskGroup&) -> asyncio::Coro<Flow> {
            variables_.insert_or_assign(variable, group);
            co_return co_await block(statement[2]);
        });
    log("task_group " + variable + " closed");
    co_return flow;
}

void Program::do_group_spawn(const Json& statement) {
    const Variable* const group = find_or_log("group_spawn", statement[1]);
    if (group == nullptr) {
        return;
    }
    const auto variable = statement[2].get<std::string>();
    // Held here, because an eager child might give the variable to another group.
    const auto scope = std::get<std::shared_ptr<asyncio::TaskGroup>>(*group);
    asyncio::Future<Value> task =
        scope->create_task({.name = variable}, coro(statement[3].get<std::string>()));
    variables_.insert_or_assign(variable, std::move(task));
    log("group_spawn " + variable);
}

asyncio::Coro<Flow> Program::do_timeout(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    const std::optional<asyncio::TimePoint> when = deadline(statement[2]);
    const auto scope = std::make_shared<asyncio::Timeout>(when);
    Flow flow;
    std::exception_ptr error;
    try {
        flow = co_await asyncio::timeout(*scope, [&]() -> asyncio::Coro<Flow> {
            variables_.insert_or_assign(variable, scope);
            co_return co_await block(statement[3]);
        });
    } catch (...) {
        error = std::current_exception();
    }
    log("timeout " + variable + " expired=" + (scope->expired() ? "true" : "false"));
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    co_return flow;
}

void Program::do_reschedule(const Json& statement) {
    const Variable* const found = find_or_log("reschedule", statement[1]);
    if (found == nullptr) {
        return;
    }
    const auto scope = std::get<std::shared_ptr<asyncio::Timeout>>(*found);
    const std::optional<asyncio::TimePoint> when = deadline(statement[2]);
    scope->reschedule(when);
    log("reschedule " + statement[1].get<std::string>());
}

}  // namespace conformance
