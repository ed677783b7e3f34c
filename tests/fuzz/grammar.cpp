// A statement is a name and operands; a table tells which.
#include "grammar.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace fuzz {

namespace {

using conformance::Json;

enum class Operand {
    any_coro,    // one that may be the caller's own or one above it
    awaitable,   // a task, a future or a gathering future
    awaitables,  // several of them
    barrier,
    block,
    boolean,
    condition,
    context_variable,
    coro,  // one below the caller, so that calls end
    count,
    delay,
    error,  // what can be raised
    event,
    final_block,  // or none
    future,
    gathering,
    group,
    handle,
    handlers,
    item,
    lock,  // whatever can be acquired
    mode,  // when a wait returns
    queue,
    scope,           // a timeout
    settable_error,  // what a future can end with
    target,
    targets,
    task,
    text,
    text_or_none,
    time_limit,  // or none
};

using Operands = std::vector<Operand>;
using enum Operand;

const std::map<std::string, Operands> grammar = {
    {"acquire", {lock}},
    {"all_tasks", {}},
    {"as_completed", {targets, time_limit, count}},
    {"await", {awaitable}},
    {"barrier_abort", {barrier}},
    {"barrier_reset", {barrier}},
    {"barrier_wait", {barrier}},
    {"call", {coro}},
    {"call_later", {handle, delay, text}},
    {"call_soon", {handle, text}},
    {"cancel", {awaitable, text_or_none}},
    {"cancel_self", {text}},
    {"cancelling", {}},
    {"cond_notify", {condition, count}},
    {"cond_wait", {condition}},
    {"ctx_get", {context_variable}},
    {"ctx_set", {context_variable, item}},
    {"event_clear", {event}},
    {"event_set", {event}},
    {"event_wait", {event}},
    {"exception", {awaitable}},
    {"gather", {targets, boolean}},
    {"gather_as", {gathering, targets, boolean}},
    {"get", {queue}},
    {"get_nowait", {queue}},
    {"group_spawn", {group, task, any_coro}},
    {"handle_cancel", {handle}},
    {"join", {queue}},
    {"locked", {lock}},
    {"log", {text}},
    {"on_done", {awaitable, text}},
    {"put", {queue, item}},
    {"put_nowait", {queue, item}},
    {"qsize", {queue}},
    {"raise", {error, text}},
    {"release", {lock}},
    {"repeat", {count, block}},
    {"reschedule", {scope, time_limit}},
    {"result", {awaitable}},
    {"return", {item}},
    {"set_exception", {future, settable_error, text}},
    {"set_result", {future, item}},
    {"shield", {target}},
    {"shutdown", {queue, boolean}},
    {"sleep", {delay}},
    {"spawn", {task, any_coro}},
    {"spawn_eager", {task, coro}},
    {"state", {awaitable}},
    {"task_done", {queue}},
    {"task_group", {group, block}},
    {"timeout", {scope, time_limit, block}},
    {"try", {block, handlers, final_block}},
    {"uncancel", {}},
    {"wait", {awaitables, time_limit, mode}},
    {"wait_for", {target, time_limit}},
    {"with", {lock, block}},
};

const std::vector<Json> delays = {0, 0, 0, 0, 1, 1, 2, 3, 0.5, 0.001, -1, 1e6, 1e12, 1e300};
const std::vector<std::string> errors = {"E1", "E1", "E2", "F1", "CancelledError"};
const std::vector<std::string> caught = {"BaseException",
                                         "BaseException",
                                         "BrokenBarrierError",
                                         "CancelledError",
                                         "CancelledError",
                                         "E1",
                                         "E2",
                                         "Exception",
                                         "Exception",
                                         "ExceptionGroup",
                                         "F1",
                                         "InvalidStateError",
                                         "QueueEmpty",
                                         "QueueFull",
                                         "QueueShutDown",
                                         "RuntimeError",
                                         "TimeoutError"};
const std::vector<std::string> guards = {"BaseException", "Exception", "Exception", "Exception"};
const std::vector<std::string> modes = {"ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"};
const std::vector<std::string> texts = {"a", "b", "c"};

const std::vector<std::string> tasks = {"t1", "t2", "t3", "t4", "t5"};
const std::vector<std::string> futures = {"f1", "f2"};
const std::vector<std::string> gatherings = {"g1", "g2"};
const std::vector<std::string> groups = {"tg1", "tg2"};
const std::vector<std::string> scopes = {"s1", "s2"};
const std::vector<std::string> handles = {"h1", "h2"};
const std::vector<std::string> locks = {"lock", "sem", "cond"};
const std::vector<std::string> queues = {"q", "lifo", "prio"};
const std::vector<std::string> context_variables = {"v1", "v2"};

bool holds_block(const Operands& operands) {
    return std::ranges::find(operands, block) != operands.end();
}

class Writer {
public:
    explicit Writer(Choices choices) : choices_(std::move(choices)) {
        // Each program prefers other statements and objects, so that some of them meet often.
        static constexpr std::size_t weights[] = {0, 0, 0, 0, 1, 2, 8};
        for (const auto& [name, operands] : grammar) {
            auto& kind = holds_block(operands) ? compound_ : simple_;
            kind.insert(kind.end(), name == "return" ? 1 : choices_.of(weights), name);
        }
        simple_.insert(simple_.end(), {"spawn", "spawn", "sleep", "await", "cancel"});
        // Tasks that start each other eagerly and without end would exhaust the stack.
        locks_ = some_of(locks);
        queues_ = some_of(queues);
        tasks_ = some_of(tasks);
        eager_ = choices_.one_in(4);
        recursive_ = !eager_ && choices_.one_in(5);
        depth_max_ = choices_.one_in(20) ? 40 : choices_.below(6);
        last_level_ = 2 + choices_.below(4);
    }

    Json program() {
        Json made = {{"objects", objects()}, {"context_vars", context_variables}};
        if (eager_) {
            made["eager_tasks"] = true;
        }
        Json& coros = made["coros"];
        coros["main"] = main_body();
        for (level_ = 1; level_ < last_level_; ++level_) {
            coros[coro_name(level_)] = body();
        }
        coros[coro_name(last_level_)] = Json::array({Json::array({"sleep", choices_.of(delays)})});
        return made;
    }

private:
    Json objects() {
        return {{"f1", {"Future"}},
                {"f2", {"Future"}},
                {"lock", {"Lock"}},
                {"sem", {"Semaphore", choices_.below(4)}},
                {"event", {"Event"}},
                {"cond", {"Condition"}},
                {"barrier", {"Barrier", 1 + choices_.below(3)}},
                {"q", {"Queue", choices_.below(3)}},
                {"lifo", {"LifoQueue", choices_.below(3)}},
                {"prio", {"PriorityQueue", choices_.below(3)}}};
    }

    // Some tasks to act upon, then whatever comes.
    Json main_body() {
        Json made = Json::array();
        for (std::size_t i = choices_.below(5); i > 0; --i) {
            made.push_back(Json::array({"spawn", choices_.of(tasks_), coro_below()}));
        }
        for (Json& other : body()) {
            made.push_back(std::move(other));
        }
        return made;
    }

    Json body() {
        room_ = 40;
        return statements(3 + choices_.below(10));
    }

    Json statements(std::size_t count) {
        Json made = Json::array();
        for (; count > 0 && room_ > 0; --count) {
            --room_;
            made.push_back(statement());
        }
        return made;
    }

    Json statement() {
        const bool nests = depth_ < depth_max_ && !compound_.empty() && choices_.one_in(3);
        const std::string& name = choices_.of(nests ? compound_ : simple_);
        Json made = {name};
        for (const Operand operand : grammar.at(name)) {
            made.push_back(make(operand));
        }
        if (name.starts_with("cond_") && !choices_.one_in(4)) {
            made = Json::array({"with", "cond", Json::array({std::move(made)})});
        }
        return choices_.one_in(3) ? made : guarded(std::move(made));
    }

    // Most statements fail, or wait for ever, in most programs, which should go on nevertheless.
    Json guarded(Json statement) {
        Json body = Json::array({std::move(statement)});
        if (choices_.one_in(2)) {
            body = Json::array({Json::array(
                {"timeout", choices_.of(scopes), choices_.below(4), std::move(body)})});
        }
        Json handler = Json::array({choices_.of(guards), Json::array()});
        return Json::array({"try", std::move(body), Json::array({std::move(handler)}), nullptr});
    }

    Json inner_block() {
        ++depth_;
        Json made = statements(1 + choices_.below(3));
        --depth_;
        return made;
    }

    Json inner_handlers() {
        Json made = Json::array();
        for (std::size_t i = choices_.below(3); i > 0; --i) {
            Json body = choices_.one_in(3) ? Json::array() : inner_block();
            if (choices_.one_in(4)) {
                body.push_back(Json::array({"reraise"}));
            }
            made.push_back(Json::array({choices_.of(caught), std::move(body)}));
        }
        return made;
    }

    // At least one of them.
    std::vector<std::string> some_of(std::vector<std::string> names) {
        const std::size_t kept = 1 + choices_.below(names.size());
        while (names.size() > kept) {
            names.erase(names.begin() + static_cast<std::ptrdiff_t>(choices_.below(names.size())));
        }
        return names;
    }

    static std::string coro_name(std::size_t level) { return "c" + std::to_string(level); }
    Json coro_below() { return coro_name(level_ + 1 + choices_.below(last_level_ - level_)); }
    Json coro_anywhere() {
        return recursive_ ? Json(coro_name(1 + choices_.below(last_level_))) : coro_below();
    }

    Json task_or_future() { return choices_.of(choices_.one_in(4) ? futures : tasks_); }
    Json any_awaitable() {
        return choices_.one_in(6) ? Json(choices_.of(gatherings)) : task_or_future();
    }
    Json any_target() {
        return choices_.one_in(3) ? Json{{"coro", coro_below()}} : task_or_future();
    }
    // None, now and then.
    template <class Make>
    Json several(Make make) {
        Json made = Json::array();
        for (std::size_t i = choices_.below(5); i > 0; --i) {
            made.push_back(make());
        }
        return made;
    }
    Json or_none(Json made) { return choices_.one_in(3) ? Json() : made; }

    Json make(Operand operand) {
        switch (operand) {
        case any_coro:
            return coro_anywhere();
        case awaitable:
            return any_awaitable();
        case awaitables:
            return several([this] { return any_awaitable(); });
        case barrier:
            return "barrier";
        case block:
            return inner_block();
        case boolean:
            return choices_.one_in(2);
        case condition:
            return "cond";
        case context_variable:
            return choices_.of(context_variables);
        case coro:
            return coro_below();
        case count:
            return choices_.below(4);
        case delay:
            return choices_.of(delays);
        case error:
            return choices_.of(errors);
        case event:
            return "event";
        case final_block:
            return choices_.one_in(4) ? inner_block() : Json();
        case future:
            return choices_.of(futures);
        case gathering:
            return choices_.of(gatherings);
        case group:
            return choices_.of(groups);
        case handle:
            return choices_.of(handles);
        case handlers:
            return inner_handlers();
        case item:
            return choices_.below(10);
        case lock:
            return choices_.of(locks_);
        case mode:
            return choices_.of(modes);
        case queue:
            return choices_.of(queues_);
        case scope:
            return choices_.of(scopes);
        case settable_error:
            return choices_.one_in(2) ? "E1" : "E2";
        case target:
            return any_target();
        case targets:
            return several([this] { return any_target(); });
        case task:
            return choices_.of(tasks_);
        case text:
            return choices_.of(texts);
        case text_or_none:
            return or_none(choices_.of(texts));
        case time_limit:
            return or_none(choices_.of(delays));
        }
        throw std::logic_error("an operand that nobody makes");
    }

    Choices choices_;
    std::vector<std::string> simple_;  // more often those that are preferred
    std::vector<std::string> compound_;
    std::vector<std::string> locks_;
    std::vector<std::string> queues_;
    std::vector<std::string> tasks_;
    bool eager_;
    bool recursive_;
    std::size_t depth_max_;
    std::size_t last_level_;
    std::size_t level_ = 0;  // of the coroutine that is being written; a call goes to a later one
    std::size_t depth_ = 0;
    std::size_t room_ = 0;  // for statements of this coroutine
};

}  // namespace

Json random_program(Choices choices) { return Writer(std::move(choices)).program(); }

std::vector<std::string> grammar_statements() {
    std::vector<std::string> names;
    for (const auto& [name, operands] : grammar) {
        names.push_back(name);
    }
    return names;
}

}  // namespace fuzz
