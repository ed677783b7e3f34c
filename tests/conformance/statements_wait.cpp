// The statements that wait for several things, or for a limited time.
#include "program.hpp"

#include <algorithm>

namespace conformance {

namespace {

std::optional<asyncio::Duration> limit_of(const Json& limit) {
    if (limit.is_null()) {
        return std::nullopt;
    }
    return asyncio::detail::from_seconds(limit.get<double>());
}

asyncio::ReturnWhen mode_of(const std::string& name) {
    return name == "FIRST_COMPLETED"   ? asyncio::ReturnWhen::first_completed
           : name == "FIRST_EXCEPTION" ? asyncio::ReturnWhen::first_exception
                                       : asyncio::ReturnWhen::all_completed;
}

}  // namespace

asyncio::Coro<Flow> Program::do_wait(const Json& statement) {
    std::vector<asyncio::AnyFuture> futures;
    std::map<std::size_t, std::string> names;  // by hash: that of the state's address
    for (const Json& target : statement[1]) {
        if (const Variable* const variable = find(target)) {
            futures.push_back(any_future(*variable));
            names[std::hash<asyncio::AnyFuture>()(futures.back())] = target.get<std::string>();
        }
    }
    if (futures.empty()) {
        log("wait: nothing");
        co_return std::nullopt;
    }
    const auto result =
        co_await asyncio::wait(std::move(futures), {.timeout = limit_of(statement[2]),
                                                    .return_when = mode_of(statement[3])});
    const auto listed = [&names](const std::vector<asyncio::AnyFuture>& found) {
        std::vector<std::string> sorted;
        for (const asyncio::AnyFuture& future : found) {
            sorted.push_back(names[std::hash<asyncio::AnyFuture>()(future)]);
        }
        std::sort(sorted.begin(), sorted.end());
        return show(Json(sorted));
    };
    log("wait -> done " + listed(result.done) + " pending " + listed(result.pending));
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_wait_for(const Json& statement) {
    const Json& target = statement[1];
    const std::optional<asyncio::Duration> limit = limit_of(statement[2]);
    Value value;
    if (target.is_object()) {
        auto coroutine = coro(target["coro"].get<std::string>());
        value = limit ? co_await asyncio::wait_for(std::move(coroutine), *limit)
                      : co_await asyncio::wait_for(std::move(coroutine), std::nullopt);
    } else if (const Variable* const found = find(target)) {
        auto awaited = await(*found);
        if (const auto* const future = std::get_if<asyncio::Future<Value>>(found)) {
            awaited.close();
            value = limit ? co_await asyncio::wait_for(*future, *limit)
                          : co_await asyncio::wait_for(*future, std::nullopt);
        } else {
            value = limit ? co_await asyncio::wait_for(std::move(awaited), *limit)
                          : co_await asyncio::wait_for(std::move(awaited), std::nullopt);
        }
    } else {
        log("wait_for: unset");
        co_return std::nullopt;
    }
    log("wait_for -> " + show(value));
    co_return std::nullopt;
}

asyncio::Coro<Flow> Program::do_as_completed(const Json& statement) {
    const int stop_after = statement[3].is_null() ? -1 : statement[3].get<int>();
    const auto found =
        stop_after == 0 ? std::vector<asyncio::Future<Value>>() : futures(statement[1]);
    if (found.empty()) {
        log("as_completed: nothing");
        co_return std::nullopt;
    }
    int taken = 0;
    for (auto earliest : asyncio::as_completed(found, limit_of(statement[2]))) {
        try {
            const Value value = co_await std::move(earliest);
            log("as_completed -> " + show(value));
        } catch (const ScriptedError&) {
            log("as_completed !! " + show(std::current_exception()));
        }
        if (++taken == stop_after) {
            break;
        }
    }
    co_return std::nullopt;
}

}  // namespace conformance
