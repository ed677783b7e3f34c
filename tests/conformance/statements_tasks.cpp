// The statements about tasks and control flow.
#include "program.hpp"

#include <algorithm>

namespace conformance {

namespace {

// Throws what the future ended with, if that is an exception.
Value result_of(const Variable& variable) {
    return std::visit(
        [](const auto& named) -> Value {
            using Named = std::remove_cvref_t<decltype(named)>;
            if constexpr (std::is_same_v<Named, asyncio::Future<Value>>) {
                return named.result();
            } else if constexpr (std::is_convertible_v<Named, asyncio::AnyFuture>) {
                return list_of(named.result());
            } else {
                throw std::logic_error("the statement needs a task or future");
            }
        },
        variable);
}

std::string show_bool(bool value) { return value ? "true" : "false"; }

}  // namespace

asyncio::AnyFuture any_future(const Variable& variable) {
    return std::visit(
        [](const auto& named) -> asyncio::AnyFuture {
            if constexpr (std::is_convertible_v<decltype(named), asyncio::AnyFuture>) {
                return named;
            } else {
                throw std::logic_error("the statement needs a task or future");
            }
        },
        variable);
}

Variable* Program::find(const Json& name) {
    const auto found = variables_.find(name.get<std::string>());
    return found == variables_.end() ? nullptr : &found->second;
}

Variable* Program::find_or_log(const char* event, const Json& name) {
    Variable* const found = find(name);
    if (found == nullptr) {
        log(std::string(event) + " " + name.get<std::string>() + ": unset");
    }
    return found;
}

// ---- tasks

void Program::do_log(const Json& statement) { log(statement[1].get<std::string>()); }

asyncio::Coro<Flow> Program::do_sleep(const Json& statement) {
    co_await asyncio::sleep(statement[1].get<double>());
    log("slept " + statement[1].dump());
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_return(const Json& statement) { co_return Value(statement[1]); }

void Program::do_raise(const Json& statement) {
    std::rethrow_exception(
        make_exception(statement[1].get<std::string>(), statement[2].get<std::string>()));
}

asyncio::Coro<Flow> Program::do_repeat(const Json& statement) {
    for (int i = 0; i < statement[1].get<int>(); ++i) {
        if (Flow flow = co_await block(statement[2])) {
            co_return flow;
        }
    }
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_call(const Json& statement) {
    const auto name = statement[1].get<std::string>();
    const Value value = co_await coro(name);
    log("call " + name + " -> " + show(value));
    co_return std::nullopt;
}

void Program::do_spawn(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    asyncio::Future<Value> task =
        asyncio::create_task({.name = variable}, coro(statement[2].get<std::string>()));
    variables_.insert_or_assign(variable, std::move(task));
    log("spawn " + variable);
}

void Program::do_spawn_eager(const Json& statement) {
    const auto variable = statement[1].get<std::string>();
    asyncio::Future<Value> task = asyncio::create_task({.name = variable, .eager_start = true},
                                                       coro(statement[2].get<std::string>()));
    variables_.insert_or_assign(variable, std::move(task));
    log("spawn_eager " + variable);
}

// The target is a handle of its own: the variable may name something else meanwhile.
asyncio::Coro<Value> Program::await(Variable target) {
    if (const auto* const future = std::get_if<asyncio::Future<Value>>(&target)) {
        co_return co_await *future;
    }
    if (const auto* const gathered = std::get_if<asyncio::Future<std::vector<Value>>>(&target)) {
        co_return list_of(co_await *gathered);
    }
    co_return list_of(
        co_await std::get<asyncio::Future<std::vector<asyncio::Outcome<Value>>>>(target));
}

asyncio::Coro<Flow> Program::do_await(const Json& statement) {
    if (const Variable* const target = find_or_log("await", statement[1])) {
        const Wait wait(*this, statement, [future = any_future(*target)] { return future.done(); });
        const Value value = co_await await(*target);
        log("await " + statement[1].get<std::string>() + " -> " + show(value));
    }
    co_return std::nullopt;
}

void Program::do_cancel(const Json& statement) {
    if (const Variable* const target = find_or_log("cancel", statement[1])) {
        const Json& text = statement[2];
        const bool took = any_future(*target).cancel(text.is_null() ? asyncio::CancelMessage()
                                                                    : text.get<std::string>());
        log("cancel " + statement[1].get<std::string>() + " -> " + show_bool(took));
    }
}

void Program::do_cancel_self(const Json& statement) {
    asyncio::current_task().cancel(statement[1].get<std::string>());
    log("cancel_self");
}

void Program::do_uncancel(const Json&) {
    log("uncancel -> " + std::to_string(asyncio::current_task().uncancel()));
}

void Program::do_cancelling(const Json&) {
    log("cancelling -> " + std::to_string(asyncio::current_task().cancelling()));
}

void Program::do_state(const Json& statement) {
    const Variable* const target = find_or_log("state", statement[1]);
    if (target == nullptr) {
        return;
    }
    const asyncio::AnyFuture future = any_future(*target);
    std::string state;
    if (future.cancelled()) {
        state = "cancelled";
    } else if (!future.done()) {
        state = "pending";
    } else if (future.exception() != nullptr) {
        state = "raised " + show(future.exception());
    } else {
        state = "returned " + show(result_of(*target));
    }
    log("state " + statement[1].get<std::string>() + ": " + state);
}

void Program::do_result(const Json& statement) {
    if (const Variable* const target = find_or_log("result", statement[1])) {
        log("result " + statement[1].get<std::string>() + " -> " + show(result_of(*target)));
    }
}

void Program::do_exception(const Json& statement) {
    if (const Variable* const target = find_or_log("exception", statement[1])) {
        log("exception " + statement[1].get<std::string>() + " -> " +
            show(any_future(*target).exception()));
    }
}

void Program::do_all_tasks(const Json&) {
    std::vector<std::string> names;
    for (const asyncio::AnyTask& task : asyncio::all_tasks()) {
        names.push_back(task.get_name());
    }
    std::sort(names.begin(), names.end());
    log("all_tasks -> " + show(Json(names)));
}

void Program::do_on_done(const Json& statement) {
    if (const Variable* const target = find_or_log("on_done", statement[1])) {
        const auto variable = statement[1].get<std::string>();
        any_future(*target).add_done_callback(
            [this, event = "done " + variable + " " + statement[2].get<std::string>()] {
                log(event);
            });
        log("on_done " + variable);
    }
}

// ---- control

// Runs the first handler that catches the error. Returns true if the error is dealt with.
asyncio::Coro<bool> Program::handle(const Json& handlers, const std::exception_ptr& error,
                                    Flow& flow) {
    for (const Json& handler : handlers) {
        if (!catches(handler[0].get<std::string>(), error)) {
            continue;
        }
        log("caught " + show(error));
        const Json& body = handler[1];
        const bool reraises = !body.empty() && body.back()[0] == "reraise";
        flow = co_await block(body, body.size() - (reraises ? 1 : 0));
        co_return flow.has_value() || !reraises;
    }
    co_return false;
}

asyncio::Coro<Flow> Program::do_try(const Json& statement) {
    const Json& final = statement[3];
    Flow flow;
    std::exception_ptr error;
    try {
        flow = co_await block(statement[1]);
    } catch (const asyncio::LoopBreak&) {
        throw;
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr) {
        try {
            if (co_await handle(statement[2], error, flow)) {
                error = nullptr;
            }
        } catch (const asyncio::LoopBreak&) {
            throw;
        } catch (...) {
            error = std::current_exception();
        }
    }
    if (!final.is_null()) {
        co_await block(final);
    }
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    co_return flow;
}

}  // namespace conformance
