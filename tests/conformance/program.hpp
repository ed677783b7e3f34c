// Runs one program of the language on the library and records what happens, as the class Program of
// reference.py does with Python's asyncio.
#pragma once

#include <asyncio/testing/virtual_clock.hpp>

#include "value.hpp"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace conformance {

// A statement that the library, or this interpreter, does not have. A LoopBreak, so that it ends
// the program wherever it is thrown.
class Unsupported final : public asyncio::LoopBreak {
public:
    explicit Unsupported(std::string statement) : statement_(std::move(statement)) {}
    const char* what() const noexcept override { return statement_.c_str(); }

private:
    std::string statement_;
};

// The program exceeded its budget of loop iterations or of statements.
class TooLong final : public asyncio::LoopBreak {
public:
    explicit TooLong(const char* what) noexcept : what_(what) {}
    const char* what() const noexcept override { return what_; }

private:
    const char* what_;
};

struct Record {
    std::vector<std::string> trace;
    std::vector<std::string> lost;  // sorted
};

// The order of a PriorityQueue.
struct ByContent {
    bool operator()(const Value& a, const Value& b) const;
};
using LeastFirst = asyncio::PriorityQueue<Value, ByContent>;

// What a variable names: a task or future, a gathering future with or without return_exceptions, a
// handle, a group, a timeout, or what coordinates tasks.
using Variable =
    std::variant<asyncio::Future<Value>, asyncio::Future<std::vector<Value>>,
                 asyncio::Future<std::vector<asyncio::Outcome<Value>>>, asyncio::Handle,
                 std::shared_ptr<asyncio::TaskGroup>, std::shared_ptr<asyncio::Timeout>,
                 std::shared_ptr<asyncio::Lock>, std::shared_ptr<asyncio::Event>,
                 std::shared_ptr<asyncio::Condition>, std::shared_ptr<asyncio::Semaphore>,
                 std::shared_ptr<asyncio::Barrier>, std::shared_ptr<asyncio::Queue<Value>>,
                 std::shared_ptr<asyncio::LifoQueue<Value>>, std::shared_ptr<LeastFirst>>;

// The future or task that a variable names. Throws std::logic_error if it is something else.
asyncio::AnyFuture any_future(const Variable& variable);

// Makes what coordinates tasks. Throws Unsupported.
Variable make_primitive(const std::string& kind, const Json& object);

struct RunOptions {
    bool debug = false;
    int iterations_max = 4000;
};

// What a block ended with: the value of a `return`, or nothing if it ran to its end.
using Flow = std::optional<Value>;

class Program {
public:
    explicit Program(const Json& source);
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    static std::vector<std::string> statement_names();

    // Throws Unsupported, TooLong, or asyncio::DeadlockError. May be called once.
    const Record& run(const RunOptions& options);

    // What happened so far, also in a run that threw.
    const Record& record() const noexcept { return record_; }
    // A statement that waited on when nothing but time could go on, although what it waited for was
    // there: a wake-up got lost. Empty if there was none.
    const std::string& overlooked() const noexcept { return overlooked_; }
    // How many coroutines of the program, and whether its loop, are still there.
    long alive() const noexcept { return alive_.use_count() - 1; }

private:
    class Clock;

    // A statement that waits, from construction to destruction.
    class Wait {
    public:
        // `is_over()` tells whether what the statement waits for is there.
        template <class IsOver>
        Wait(Program& program, const Json& statement, IsOver is_over)
            : program_(program), statement_(statement), is_over_(std::move(is_over)),
              place_(program.waits_.insert(program.waits_.end(), this)) {}
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait() { program_.waits_.erase(place_); }

        bool is_over() const { return is_over_(); }
        const Json& statement() const noexcept { return statement_; }

    private:
        Program& program_;
        const Json& statement_;
        std::function<bool()> is_over_;
        std::list<const Wait*>::iterator place_;
    };

    // A statement's arguments start at index 1. Statements that suspend, or hold others, are
    // coroutines.
    using Action = void (Program::*)(const Json& statement);
    using Procedure = asyncio::Coro<Flow> (Program::*)(const Json& statement);
    using Statement = std::variant<Action, Procedure>;

    static const std::unordered_map<std::string, Statement>& statements();

    // Recording.
    void log(const std::string& event);
    void on_loop_exception(asyncio::EventLoop& loop, const asyncio::ErrorContext& context);
    void record(asyncio::EventLoop& loop, const std::string& event);

    // Coroutines.
    asyncio::Coro<Value> coro(std::string name);
    asyncio::Coro<Flow> block(const Json& statements);
    asyncio::Coro<Flow> block(const Json& statements, std::size_t count);
    asyncio::Coro<Value> main();
    void make(const std::string& name, const Json& object);

    // Running.
    std::string run_main(asyncio::EventLoop& loop, const asyncio::Task<Value>& main);
    void cancel_all(asyncio::EventLoop& loop);
    void look_for_overlooked();

    // Variables.
    Variable* find(const Json& name);
    // Null if it is unset, which is logged.
    Variable* find_or_log(const char* event, const Json& name);
    std::vector<asyncio::Future<Value>> futures(const Json& targets);
    std::vector<asyncio::Coro<Value>> coroutines(const Json& targets);
    Variable gather(const Json& targets, bool return_exceptions);
    asyncio::Coro<Value> await(Variable target);
    // Takes what the statement names first.
    asyncio::Coro<void> acquire(const Json& statement);

    // Statements: tasks.
    void do_log(const Json& statement);
    asyncio::Coro<Flow> do_sleep(const Json& statement);
    asyncio::Coro<Flow> do_return(const Json& statement);
    void do_raise(const Json& statement);
    asyncio::Coro<Flow> do_repeat(const Json& statement);
    asyncio::Coro<Flow> do_call(const Json& statement);
    void do_spawn(const Json& statement);
    void do_spawn_eager(const Json& statement);
    asyncio::Coro<Flow> do_await(const Json& statement);
    void do_cancel(const Json& statement);
    void do_cancel_self(const Json& statement);
    void do_uncancel(const Json& statement);
    void do_cancelling(const Json& statement);
    void do_state(const Json& statement);
    void do_result(const Json& statement);
    void do_exception(const Json& statement);
    void do_all_tasks(const Json& statement);
    void do_on_done(const Json& statement);

    // Statements: control.
    asyncio::Coro<Flow> do_try(const Json& statement);
    asyncio::Coro<bool> handle(const Json& handlers, const std::exception_ptr& error, Flow& flow);

    // Statements: futures and callbacks.
    void do_set_result(const Json& statement);
    void do_set_exception(const Json& statement);
    void do_call_soon(const Json& statement);
    void do_call_later(const Json& statement);
    void do_handle_cancel(const Json& statement);

    // Statements: combinators.
    asyncio::Coro<Flow> do_gather(const Json& statement);
    void do_gather_as(const Json& statement);
    asyncio::Coro<Flow> do_shield(const Json& statement);
    asyncio::Coro<Flow> do_task_group(const Json& statement);
    void do_group_spawn(const Json& statement);
    asyncio::Coro<Flow> do_timeout(const Json& statement);
    void do_reschedule(const Json& statement);

    // Statements: synchronisation and queues.
    asyncio::Coro<Flow> do_acquire(const Json& statement);
    void do_release(const Json& statement);
    void do_locked(const Json& statement);
    asyncio::Coro<Flow> do_with(const Json& statement);
    asyncio::Coro<Flow> do_event_wait(const Json& statement);
    void do_event_set(const Json& statement);
    void do_event_clear(const Json& statement);
    asyncio::Coro<Flow> do_cond_wait(const Json& statement);
    void do_cond_notify(const Json& statement);
    asyncio::Coro<Flow> do_barrier_wait(const Json& statement);
    asyncio::Coro<Flow> do_barrier_reset(const Json& statement);
    asyncio::Coro<Flow> do_barrier_abort(const Json& statement);
    asyncio::Coro<Flow> do_put(const Json& statement);
    asyncio::Coro<Flow> do_get(const Json& statement);
    void do_put_nowait(const Json& statement);
    void do_get_nowait(const Json& statement);
    void do_task_done(const Json& statement);
    asyncio::Coro<Flow> do_join(const Json& statement);
    void do_shutdown(const Json& statement);
    void do_qsize(const Json& statement);
    asyncio::Coro<Flow> do_wait(const Json& statement);
    asyncio::Coro<Flow> do_wait_for(const Json& statement);
    asyncio::Coro<Flow> do_as_completed(const Json& statement);

    // Statements: context variables.
    void do_ctx_set(const Json& statement);
    void do_ctx_get(const Json& statement);

    const Json& source_;
    Record record_;
    std::unordered_map<std::string, Variable> variables_;
    std::unordered_map<std::string, int> started_;
    std::map<std::string, asyncio::ContextVar<int>> contexts_;
    int statements_left_;
    std::list<const Wait*> waits_;
    std::string overlooked_;
    // Held by every coroutine, and by the loop.
    std::shared_ptr<const int> alive_ = std::make_shared<const int>();
};

}  // namespace conformance
