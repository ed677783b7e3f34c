// Running a program: its tasks, what is recorded, and how it is ended.
#include "program.hpp"

#include <algorithm>
#include <cstdio>

namespace conformance {

namespace {

constexpr int statements_max = 5000;

// There is nothing to wait for but time; so the poller only counts the loop's iterations, and looks
// whether the loop is in order.
class IterationCounter final : public asyncio::Poller {
public:
    explicit IterationCounter(int left) : left_(left) {}

    void poll(std::optional<asyncio::Duration>, ReadyList&) override {
        if (--left_ < 0) {
            throw TooLong("too many iterations");
        }
        asyncio::get_running_loop().check_invariants();
    }
    void wake() noexcept override {}
    void start(asyncio::IoOperation&) override { throw asyncio::RuntimeError("no descriptors"); }
    bool cancel(asyncio::IoOperation&) noexcept override { return true; }
    asyncio::IoOperation* watching(int, asyncio::IoDirection) const noexcept override {
        return nullptr;
    }
    std::size_t watched() const noexcept override { return 0; }
    int fileno() const noexcept override { return -1; }
    void arm(std::optional<asyncio::Duration>) override {}

private:
    int left_;
};

}  // namespace

// The loop moves it when nothing else can go on.
class Program::Clock final : public asyncio::Clock {
public:
    explicit Clock(Program& program) noexcept : program_(program) {}

    asyncio::TimePoint now() override { return time_.now(); }
    bool advance_to(asyncio::TimePoint when) override {
        program_.look_for_overlooked();
        return time_.advance_to(when);
    }
    bool is_virtual() const noexcept override { return true; }

private:
    Program& program_;
    asyncio::testing::VirtualClock time_;
};

Program::Program(const Json& source) : source_(source), statements_left_(statements_max) {
    if (source.contains("context_vars")) {
        for (const Json& name : source["context_vars"]) {
            contexts_.try_emplace(name.get<std::string>(), name.get<std::string>(), 0);
        }
    }
}

// ---- recording

void Program::record(asyncio::EventLoop& loop, const std::string& event) {
    char time[32];
    std::snprintf(time, sizeof time, "%g", loop.time_seconds());
    record_.trace.push_back(std::string(time) + " " + event);
}

void Program::log(const std::string& event) {
    asyncio::EventLoop* const loop = asyncio::get_running_loop_or_null();
    if (loop == nullptr) {
        return;  // a coroutine that is destroyed after the program was given up
    }
    const asyncio::AnyTask task = asyncio::current_task(*loop);
    record(*loop, (task ? task.get_name() : "-") + ": " + event);
}

void Program::on_loop_exception(asyncio::EventLoop& loop, const asyncio::ErrorContext& context) {
    const std::string message = context.message.substr(0, context.message.find(" <"));
    if (message.ends_with("was never retrieved")) {
        // CPython reports it when the garbage collector comes by: only whether is compared.
        record_.lost.push_back(message + ": " + show(context.exception));
    } else if (!loop.is_closed()) {  // else it is about tasks of a program that was given up
        record(loop, "!: " + message + ": " + show(context.exception));
    }
}

// ---- coroutines

asyncio::Coro<Value> Program::coro(std::string name) {
    const std::shared_ptr<const int> alive = alive_;
    if (const asyncio::AnyTask task = asyncio::current_task();
        task && task.get_name().starts_with("Task-")) {
        task.set_name(name + "#" + std::to_string(++started_[name]));
    }
    log("enter " + name);
    Value value;
    try {
        if (Flow flow = co_await block(source_["coros"][name])) {
            value = std::move(*flow);
        }
    } catch (...) {
        log("leave " + name + " !! " + show(std::current_exception()));
        throw;
    }
    log("leave " + name + " -> " + show(value));
    co_return value;
}

asyncio::Coro<Flow> Program::block(const Json& statements) {
    return block(statements, statements.size());
}

asyncio::Coro<Flow> Program::block(const Json& statements, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        if (--statements_left_ < 0) {
            throw TooLong("too many statements");
        }
        const Json& statement = statements[i];
        const auto name = statement[0].get<std::string>();
        const auto known = Program::statements().find(name);
        if (known == Program::statements().end()) {
            throw Unsupported(name);
        }
        if (const Action* const action = std::get_if<Action>(&known->second)) {
            (this->**action)(statement);
            continue;
        }
        const Procedure procedure = std::get<Procedure>(known->second);
        if (Flow flow = co_await (this->*procedure)(statement)) {
            co_return flow;
        }
    }
    co_return std::nullopt;
}

void Program::make(const std::string& name, const Json& object) {
    const auto kind = object[0].get<std::string>();
    Variable made = kind == "Future" ? Variable(asyncio::get_running_loop().create_future<Value>())
                                     : make_primitive(kind, object);
    variables_.insert_or_assign(name, std::move(made));
}

asyncio::Coro<Value> Program::main() {
    asyncio::current_task().set_name("main");
    if (source_.contains("objects")) {
        for (const auto& [name, object] : source_["objects"].items()) {
            make(name, object);
        }
    }
    co_return co_await coro("main");
}

// ---- running

std::string Program::run_main(asyncio::EventLoop& loop, const asyncio::Task<Value>& main) {
    try {
        return "-> " + show(loop.run_until_complete(asyncio::Future<Value>(main)));
    } catch (const asyncio::LoopBreak&) {
        throw;
    } catch (const asyncio::DeadlockError&) {
        look_for_overlooked();
        throw;
    } catch (...) {
        return "!! " + show(std::current_exception());
    }
}

void Program::look_for_overlooked() {
    for (const Wait* const wait : waits_) {
        if (wait->is_over()) {
            overlooked_ = wait->statement().dump();
        }
    }
}

// What asyncio.run() does with the tasks that are left, oldest first.
void Program::cancel_all(asyncio::EventLoop& loop) {
    const std::vector<asyncio::AnyTask> pending = asyncio::all_tasks(loop);
    if (pending.empty()) {
        return;
    }
    for (const asyncio::AnyTask& task : pending) {
        task.cancel();
    }
    const asyncio::Future<void> finished = loop.create_future<void>();
    std::size_t left = pending.size();
    for (const asyncio::AnyTask& task : pending) {
        task.add_done_callback([&finished, &left] {
            if (--left == 0) {
                finished.set_result();
            }
        });
    }
    loop.run_until_complete(finished);
    for (const asyncio::AnyTask& task : pending) {
        if (!task.cancelled() && task.exception() != nullptr) {
            asyncio::ErrorContext context;
            context.message = "unhandled exception during asyncio.run() shutdown";
            context.exception = task.exception();
            context.future = task;
            loop.call_exception_handler(context);
        }
    }
}

const Record& Program::run(const RunOptions& run_options) {
    Clock clock(*this);
    asyncio::LoopOptions options;
    options.clock = &clock;
    options.poller = std::make_unique<IterationCounter>(run_options.iterations_max);
    options.debug = run_options.debug;
    const asyncio::EventLoopPtr loop = asyncio::new_event_loop(std::move(options));
    loop->slow_callback_duration = std::chrono::hours(1);  // the machine's speed is not tested
    loop->set_exception_handler(
        [this, alive = alive_](asyncio::EventLoop& source, const asyncio::ErrorContext& context) {
            on_loop_exception(source, context);
        });
    if (source_.value("eager_tasks", false)) {
        loop->set_task_factory(asyncio::eager_task_factory);
    }
    // Whatever happens, the futures must be gone before the exception handler is.
    struct Ending {
        ~Ending() {
            loop.close();
            variables.clear();
        }
        asyncio::EventLoop& loop;
        std::unordered_map<std::string, Variable>& variables;
    };
    {
        const Ending ending{*loop, variables_};
        const asyncio::Task<Value> main = loop->create_task(this->main());
        record(*loop, "run " + run_main(*loop, main));
        cancel_all(*loop);
        if (!asyncio::all_tasks(*loop).empty()) {
            throw asyncio::DeadlockError("tasks were spawned while everything was being torn down");
        }
        record(*loop, "end");
    }
    std::sort(record_.lost.begin(), record_.lost.end());
    return record_;
}

// ---- the statements

const std::unordered_map<std::string, Program::Statement>& Program::statements() {
    static const std::unordered_map<std::string, Statement> table = {
        {"acquire", &Program::do_acquire},
        {"all_tasks", &Program::do_all_tasks},
        {"as_completed", &Program::do_as_completed},
        {"await", &Program::do_await},
        {"barrier_abort", &Program::do_barrier_abort},
        {"barrier_reset", &Program::do_barrier_reset},
        {"barrier_wait", &Program::do_barrier_wait},
        {"call", &Program::do_call},
        {"call_later", &Program::do_call_later},
        {"call_soon", &Program::do_call_soon},
        {"cancel", &Program::do_cancel},
        {"cancel_self", &Program::do_cancel_self},
        {"cancelling", &Program::do_cancelling},
        {"cond_notify", &Program::do_cond_notify},
        {"cond_wait", &Program::do_cond_wait},
        {"ctx_get", &Program::do_ctx_get},
        {"ctx_set", &Program::do_ctx_set},
        {"event_clear", &Program::do_event_clear},
        {"event_set", &Program::do_event_set},
        {"event_wait", &Program::do_event_wait},
        {"exception", &Program::do_exception},
        {"gather", &Program::do_gather},
        {"gather_as", &Program::do_gather_as},
        {"get", &Program::do_get},
        {"get_nowait", &Program::do_get_nowait},
        {"group_spawn", &Program::do_group_spawn},
        {"handle_cancel", &Program::do_handle_cancel},
        {"join", &Program::do_join},
        {"locked", &Program::do_locked},
        {"log", &Program::do_log},
        {"on_done", &Program::do_on_done},
        {"put", &Program::do_put},
        {"put_nowait", &Program::do_put_nowait},
        {"qsize", &Program::do_qsize},
        {"raise", &Program::do_raise},
        {"release", &Program::do_release},
        {"repeat", &Program::do_repeat},
        {"reschedule", &Program::do_reschedule},
        {"result", &Program::do_result},
        {"return", &Program::do_return},
        {"set_exception", &Program::do_set_exception},
        {"set_result", &Program::do_set_result},
        {"shield", &Program::do_shield},
        {"shutdown", &Program::do_shutdown},
        {"sleep", &Program::do_sleep},
        {"spawn", &Program::do_spawn},
        {"spawn_eager", &Program::do_spawn_eager},
        {"state", &Program::do_state},
        {"task_done", &Program::do_task_done},
        {"task_group", &Program::do_task_group},
        {"timeout", &Program::do_timeout},
        {"try", &Program::do_try},
        {"uncancel", &Program::do_uncancel},
        {"wait", &Program::do_wait},
        {"wait_for", &Program::do_wait_for},
        {"with", &Program::do_with},
    };
    return table;
}

std::vector<std::string> Program::statement_names() {
    std::vector<std::string> names;
    for (const auto& [name, statement] : statements()) {
        names.push_back(name);
    }
    return names;
}

}  // namespace conformance
