// Every line of C++ in docs/porting.md, in the same order: pages.py finds them here, and the
// compiler shows that they are right. So does what other pages have besides their programs. Nothing
// of this is run.
#include <asyncio/asyncio.hpp>
#include <asyncio/process_pool.hpp>
#include <asyncio/testing/virtual_clock.hpp>
#include <asyncio/workers.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using asyncio::Address, asyncio::AddressFamily;
using asyncio::AsyncGenerator, asyncio::CancelledError, asyncio::Coro, asyncio::EventLoop,
    asyncio::ExceptionGroup;
using asyncio::Task, asyncio::TaskGroup, asyncio::TimeoutError;

namespace porting {

// What the lines work with.
struct Page {
    std::string text;
};
struct Job {
    int urgency = 0;
    std::string name;
};
void use(const auto&...) {}
void handle_error(const std::exception_ptr&) {}
void clean_up() {}
int compute(int n) { return n; }
void callback(int) {}
void on_done(asyncio::AnyFuture) {}
bool connected() { return true; }

Coro<void> main_task() { co_return; }
Coro<void> work() { co_return; }
Coro<int> delay(std::chrono::seconds duration) {
    co_await asyncio::sleep(duration);
    co_return static_cast<int>(duration.count());
}
Coro<Page> fetch(std::string url) { co_return Page{std::move(url)}; }
Coro<void> say_after(std::chrono::seconds duration, std::string what) {
    co_await asyncio::sleep(duration);
    std::puts(what.c_str());
}
Coro<void> log_out(std::string who) { co_return use(who); }
Coro<void> set_after(asyncio::Future<std::string> future, std::string value) {
    co_await asyncio::sleep(1s);
    future.set_result(std::move(value));
}

struct Connection {
    Coro<void> read() { co_return; }
};

asyncio::ContextVar<std::string> user("user", "nobody");

// ---- The guide

Coro<void> one_after_the_other() {
    const int first = co_await delay(1s);
    const int second = co_await delay(1s);
}

Coro<std::vector<int>> at_the_same_time() {
    auto task1 = asyncio::create_task(delay, 1s);
    auto task2 = asyncio::create_task(delay, 1s);
    co_return std::vector{co_await task1, co_await task2};
}

Coro<void> as_slow_as_all(const std::vector<std::string>& urls) {
    std::vector<Page> results;
    for (const auto& url : urls) results.push_back(co_await asyncio::create_task(fetch, url));
}

Coro<void> as_slow_as_the_slowest(const std::vector<std::string>& urls) {
    std::vector<Task<Page>> tasks;
    for (const auto& url : urls) tasks.push_back(asyncio::create_task(fetch, url));
    const std::vector<Page> results = co_await asyncio::gather(tasks);
}

// ---- Coroutines

Coro<int> nested() { co_return 42; }

Coro<void> coroutines(std::vector<int> numbers) {
    co_await nested();
    std::printf("%d\n", co_await nested());
    auto coro = nested();
    co_await std::move(coro);
    nested().close();
    co_await asyncio::sleep(1s);
    co_await asyncio::sleep(0.5);
    co_await asyncio::sleep(0s);
    const int answer = co_await asyncio::sleep(1s, 42);
    for (const int n : numbers) co_await delay(n * 1s);
}

// ---- Tasks

Coro<void> tasks_1() {
    auto task = asyncio::create_task(say_after, 1s, "hello");
    co_await task;
    const auto named = asyncio::create_task({.name = "reader"}, say_after, 1s, "hello");
    const auto in_context =
        asyncio::create_task({.context = asyncio::copy_context()}, say_after, 1s, "hello");
    const auto eager = asyncio::create_task({.eager_start = true}, say_after, 1s, "hello");
    asyncio::get_running_loop().set_task_factory(asyncio::eager_task_factory);
    asyncio::create_task(work);
    const auto read = asyncio::create_task(
        [connection = std::make_shared<Connection>()] { return connection->read(); });
    const asyncio::AnyTask current = asyncio::current_task();
    const std::vector<asyncio::AnyTask> pending = asyncio::all_tasks();
}

Coro<void> tasks_2(Task<int> task) {
    if (task.done() && !task.cancelled()) use(task.result());
    if (const std::exception_ptr error = task.exception()) handle_error(error);
    const auto id = task.add_done_callback([](asyncio::AnyFuture done) { use(done.cancelled()); });
    task.remove_done_callback(id);
    task.set_name(task.get_name() + ", renamed");
    task.print_stack(std::cerr);
    for (const asyncio::StackEntry& entry : task.get_stack()) std::puts(entry.function.c_str());
    use(task.get_context(), task.get_coro());
    std::puts(repr(task).c_str());
    co_return;
}

// ---- Cancelling

Coro<void> cancelling(Task<int> task) {
    task.cancel();
    task.cancel("shutting down");
    try {
        co_await task;
    } catch (const CancelledError& error) {
        std::puts(error.message().c_str());
        throw;
    }
    try {
        co_await task;
    } catch (const std::exception& error) {
        std::puts(error.what());
    }
    if (asyncio::current_task().cancelling() > 0) asyncio::current_task().uncancel();
}

struct CleanUp {
    ~CleanUp() { clean_up(); }
};

Coro<void> cleaning_up() {
    const CleanUp at_the_end;
    co_await asyncio::finally(work, [] { return log_out("user"); });
}

// ---- Asynchronous generators

AsyncGenerator<int> ticker() {
    for (int i = 0; i < 3; ++i) {
        co_await asyncio::sleep(1s);
        co_yield i;
    }
}

Coro<void> generators() {
    auto ticks = ticker();
    while (const auto i = co_await ticks.next()) use(*i);
    use(co_await ticks.next());
    co_await ticks.aclose();
    co_await asyncio::get_running_loop().shutdown_asyncgens();
}

// ---- Task groups

Coro<void> groups() {
    co_await asyncio::task_group([&](TaskGroup& group) -> Coro<> {
        const auto task1 = group.create_task(delay, 1s);
        const auto task2 = group.create_task({.name = "second"}, delay, 2s);
        co_await work();
    });
    const int sum = co_await asyncio::task_group([](TaskGroup& group) -> Coro<int> {
        const auto task = group.create_task(delay, 1s);
        co_return co_await task;
    });
    try {
        co_await work();
    } catch (...) {
        asyncio::except_star([](const TimeoutError& error) { std::puts(error.what()); });
    }
}

Coro<void> terminated_group(TaskGroup& group) {
    group.cancel();
    co_return;
}

void exception_groups(const ExceptionGroup& group, std::exception_ptr a, std::exception_ptr b) {
    throw ExceptionGroup("two errors", {a, b});
    use(group.message(), group.exceptions());
    if (const auto only = group.subgroup<TimeoutError>()) handle_error(only);
    const auto [timeouts, others] = group.split<TimeoutError>();
    const auto [matching, rest] = group.split(
        [](const std::exception_ptr& error) { return asyncio::is_exception<TimeoutError>(error); });
}

// ---- gather

Coro<void> gathering(std::vector<Task<Page>> tasks) {
    const auto [a, b, c] = co_await asyncio::gather(delay(1s), delay(2s), nested());
    const std::vector<Page> pages = co_await asyncio::gather(tasks);
    const auto [page, error] =
        co_await asyncio::gather(asyncio::return_exceptions, fetch("a"), fetch("b"));
    for (const auto& outcome : co_await asyncio::gather(asyncio::return_exceptions, tasks)) {
        if (!outcome) handle_error(outcome.exception());
    }
    auto group = asyncio::gather(work(), work());
    group.cancel();
}

// ---- Deadlines

Coro<void> deadlines(Task<int> task) {
    co_await asyncio::timeout(10s, [&]() -> Coro<> { co_await work(); });
    co_await asyncio::timeout(10s, [] { return work(); });
    try {
        co_await asyncio::timeout(10s, [] { return work(); });
    } catch (const TimeoutError&) {
        std::puts("too late");
    }
    co_await asyncio::timeout(std::nullopt, [](asyncio::Timeout& scope) -> Coro<> {
        scope.reschedule(asyncio::get_running_loop().time() + 10s);
        co_await work();
        scope.reschedule(std::nullopt);
        use(scope.when(), scope.expired());
    });
    const auto deadline = asyncio::get_running_loop().time() + 20s;
    co_await asyncio::timeout_at(deadline, [] { return work(); });
    const int result = co_await asyncio::wait_for(nested(), 1s);
    co_await asyncio::wait_for(task, std::nullopt);
    const int shielded = co_await asyncio::shield(task);
    co_await asyncio::wait_for(asyncio::shield(task), 1s);
}

// ---- wait, as_completed

Coro<void> waiting(std::vector<Task<int>> tasks) {
    const auto [done, pending] = co_await asyncio::wait(tasks);
    const auto first =
        co_await asyncio::wait(tasks, {.return_when = asyncio::ReturnWhen::first_completed});
    const auto failed =
        co_await asyncio::wait(tasks, {.return_when = asyncio::ReturnWhen::first_exception});
    const auto in_time = co_await asyncio::wait(tasks, {.timeout = 2s});
    if (std::ranges::count(first.done, tasks[0]) > 0) use(tasks[0].result());
    for (const Task<int>& task : in_time.pending) task.cancel();
    auto completions = asyncio::as_completed(tasks);
    while (const auto task = co_await completions.next()) use(task->result());
    for (auto next : asyncio::as_completed(tasks)) use(co_await std::move(next));
    for (auto next : asyncio::as_completed(tasks, 5s)) use(co_await std::move(next));
}

// ---- Synchronisation

Coro<void> locking(asyncio::Lock& lock) {
    auto guard = co_await lock.scoped();
    guard.release();
    co_await lock.acquire();
    if (lock.locked()) lock.release();
}

Coro<void> signalling(asyncio::Event& event) {
    event.set();
    event.clear();
    if (!event.is_set()) co_await event.wait();
}

Coro<void> conditions(asyncio::Condition& condition, asyncio::Lock& lock) {
    auto guard = co_await condition.scoped();
    co_await condition.wait();
    co_await condition.wait_for([] { return connected(); });
    condition.notify();
    condition.notify(2);
    condition.notify_all();
    asyncio::Condition sharing(lock);
}

Coro<void> semaphores() {
    asyncio::Semaphore semaphore(10);
    auto permit = co_await semaphore.scoped();
    asyncio::BoundedSemaphore bounded(10);
    co_await bounded.acquire();
    bounded.release();
}

Coro<void> barriers() {
    asyncio::Barrier barrier(3);
    if (co_await barrier.wait() == 0) std::puts("chosen");
    co_await barrier.reset();
    co_await barrier.abort();
    use(barrier.parties(), barrier.n_waiting(), barrier.broken());
}

// ---- Queues

Coro<void> queues(std::vector<Task<void>> workers) {
    asyncio::Queue<std::string> queue(100);
    co_await queue.put("item");
    const std::string item = co_await queue.get();
    queue.put_nowait("item");
    const std::string next = queue.get_nowait();
    while (const auto more = queue.try_get()) std::puts(more->c_str());
    queue.task_done();
    co_await queue.join();
    for (const Task<void>& worker : workers) worker.cancel();
    co_await asyncio::gather(asyncio::return_exceptions, workers);
    use(queue.qsize(), queue.empty(), queue.full(), queue.maxsize());
    queue.shutdown();
    queue.shutdown(true);
    asyncio::LifoQueue<int> stack;
    asyncio::PriorityQueue<std::pair<int, std::string>> jobs;
    jobs.put_nowait({2, "code"});
}

// ---- Context variables

Coro<void> contexts(std::string name) {
    const auto token = user.set(name);
    std::puts(user.get().c_str());
    std::puts(user.get("nobody").c_str());
    user.reset(token);
    const asyncio::Context context = asyncio::copy_context();
    context.run([] { user.set("somebody"); });
    co_return;
}

// ---- Running

void running() {
    asyncio::run(main_task());
    asyncio::run(say_after, 1s, "hello");
    asyncio::run(main_task(), {.debug = true});
    asyncio::run(main_task(), {.loop_factory = [] { return asyncio::new_event_loop(); }});
    asyncio::Runner runner;
    runner.run(main_task());
    EventLoop& loop = runner.get_loop();
    runner.close();
    asyncio::run_workers(4, main_task, {.processes = true});
    asyncio::run_workers(4, main_task);
    try {
        asyncio::run(main_task());
    } catch (const asyncio::KeyboardInterrupt&) {
        std::puts("interrupted");
    }
}

void loops() {
    auto loop = asyncio::new_event_loop();
    loop->run_until_complete(main_task());
    loop->call_later(5s, [&loop] { loop->stop(); });
    loop->run_forever();
    use(loop->is_running(), loop->is_closed());
    loop->close();
}

// ---- Callbacks

Coro<void> callbacks(const asyncio::Context& context, int fd, asyncio::Event& stop) {
    EventLoop& loop = asyncio::get_running_loop();
    loop.call_soon([] { callback(1); });
    loop.call_soon([] { callback(1); }, context);
    loop.call_soon_threadsafe([] { callback(1); });
    const asyncio::TimerHandle handle = loop.call_later(500ms, [] { callback(1); });
    loop.call_at(loop.time() + 10s, [] { callback(1); });
    handle.cancel();
    use(handle.cancelled(), handle.when());
    const double seconds = loop.time_seconds();
    const auto end_time = loop.time() + 5s;
    if (loop.time() + 1s >= end_time) loop.stop();
    loop.add_reader(fd, [&loop, fd] { loop.remove_reader(fd); });
    loop.add_writer(fd, [&loop, fd] { loop.remove_writer(fd); });
    loop.add_signal_handler(SIGTERM, [&stop] { stop.set(); });
    loop.remove_signal_handler(SIGTERM);
    co_return;
}

// ---- Futures

Coro<void> futures(asyncio::AnyFuture any) {
    EventLoop& loop = asyncio::get_running_loop();
    const auto future = loop.create_future<std::string>();
    asyncio::create_task(set_after, future, "hello");
    const std::string text = co_await future;
    future.set_result("hello");
    future.set_exception(std::runtime_error("failed"));
    if (!future.done()) future.set_result("hello");
    future.add_done_callback(on_done);
    future.remove_done_callback(on_done);
    future.cancel();
    const auto sure = asyncio::ensure_future(nested());
}

// ---- Threads

Coro<void> in_threads(EventLoop& loop, std::vector<int> numbers) {
    const int computed = co_await asyncio::to_thread(compute, 42);
    asyncio::ThreadPoolExecutor pool(4);
    const int result = co_await asyncio::run_in_executor(pool, compute, 42);
    co_await loop.run_in_executor(nullptr, compute, 42);
    loop.set_default_executor(std::make_shared<asyncio::ThreadPoolExecutor>(2));
    co_await loop.shutdown_default_executor(10s);
    const asyncio::ThreadFuture<int> call = pool.submit(compute, 42);
    co_await asyncio::wrap_future(call);
    use(call.result(1s));
    for (const auto& square : pool.map(compute, numbers)) use(square.result());
    pool.shutdown(true, true);
}

// ---- Processes

void load(const std::string&) {}

struct Point {
    int x = 0;
    int y = 0;
};
template <class Archive>
void serialize(Archive& archive, Point& point) {
    archive(point.x, point.y);
}

struct NoSuchPage : std::runtime_error {
    using std::runtime_error::runtime_error;
};
const bool is_registered = asyncio::register_exception<NoSuchPage>();

int load_image(const std::string& name) { return static_cast<int>(name.size()); }

Coro<void> where_it_was_thrown(asyncio::ProcessPoolExecutor& pool, std::string name) {
    using asyncio::function;
    using asyncio::run_in_executor;
    try {
        co_await run_in_executor(pool, function<&load_image>, name);
    } catch (const std::runtime_error& error) {
        try {
            std::rethrow_if_nested(error);
        } catch (const asyncio::RemoteError& remote) {
            std::puts(remote.where().c_str());
        }
    }
}

Coro<void> in_processes(std::vector<int> numbers) {
    asyncio::start_process_server();
    asyncio::ProcessPoolExecutor pool;
    asyncio::ProcessPoolExecutor pair(2);
    asyncio::ProcessPoolExecutor fresh({.max_tasks_per_child = 100});
    asyncio::ProcessPoolExecutor ready({.initializer = {asyncio::function<&load>, "model.bin"}});
    const int result = co_await asyncio::run_in_executor(pool, asyncio::function<&compute>, 42);
    const auto call = pool.submit(asyncio::function<&compute>, 42);
    for (const auto& n : pool.map(asyncio::function<&compute>, numbers, 100)) use(n.result());
    auto [done, pending] =
        co_await asyncio::wait(std::vector{asyncio::wrap_future(call)}, {.timeout = 1s});
    try {
        use(result);
    } catch (const asyncio::BrokenProcessPool& error) {
        std::puts(error.what());
    }
    pool.terminate_workers();
    pool.kill_workers();
    pool.shutdown(true, true);
    asyncio::ProcessPoolExecutor four(4);
    use(four.map(asyncio::function<&compute>, numbers));
}

void from_a_thread(EventLoop& loop, asyncio::Event& event) {
    const auto answer = asyncio::run_coroutine_threadsafe(nested(), loop);
    answer.add_done_callback([](asyncio::ThreadFuture<int> done) { callback(done.result()); });
    loop.call_soon_threadsafe([&event] { event.set(); });
}

Coro<void> files() {
    const std::string text = co_await asyncio::fs::read_file("notes");
    co_await asyncio::fs::write_file("notes", text);
    auto file = co_await asyncio::fs::open("notes");
    const std::string line = co_await file.readline();
    co_await file.close();
}

Coro<void> names() {
    try {
        const auto infos = co_await asyncio::getaddrinfo("localhost", 80);
        const auto [host, service] =
            co_await asyncio::getnameinfo(asyncio::Address("127.0.0.1", 80));
    } catch (const asyncio::gaierror& error) {
        std::puts(error.what());
    }
    for (const asyncio::AddressInfo& info : co_await asyncio::getaddrinfo("localhost", 80)) {
        std::puts(info.address.str().c_str());
    }
}

// ---- Errors and debugging

Coro<void> debugging() {
    EventLoop& loop = asyncio::get_running_loop();
    loop.set_exception_handler([](EventLoop& source, const asyncio::ErrorContext& context) {
        source.default_exception_handler(context);
    });
    loop.call_exception_handler({.message = "something went wrong"});
    loop.set_exception_handler(nullptr);
    loop.set_debug(true);
    loop.slow_callback_duration = 50ms;
    asyncio::set_log_sink([](asyncio::LogLevel level, std::string_view text) {
        if (level >= asyncio::LogLevel::warning) std::cerr << text << '\n';
    });
    co_return;
}

// ---- Streams

struct EchoClient : asyncio::Protocol {};
struct EchoServer : asyncio::Protocol {};
Coro<void> handle_echo(asyncio::StreamReader, asyncio::StreamWriter);

Coro<void> streams(std::string host, std::shared_ptr<const asyncio::SSLContext> context,
                   std::vector<std::string> pieces) {
    auto [reader, writer] = co_await asyncio::open_connection("127.0.0.1", 8888);
    co_await asyncio::open_connection(host, 443, {.ssl = context});
    co_await asyncio::open_unix_connection("/run/socket");
    const std::string data = co_await reader.read(100);
    const std::string everything = co_await reader.read();
    const std::string line = co_await reader.readline();
    const std::string header = co_await reader.readexactly(4);
    const std::string head = co_await reader.readuntil({"\r\n\r\n", "\n\n"});
    auto lines = reader.lines();
    while (auto each = co_await lines.next()) use(*each);
    if (reader.at_eof()) co_return;
    writer.write("hello");
    writer.writelines(pieces);
    co_await writer.drain();
    writer.write_eof();
    writer.close();
    co_await writer.wait_closed();
    co_await writer.start_tls(context, {.server_hostname = "example.org"});
    const auto address = writer.get_extra_info(asyncio::extra_info::peername);
    asyncio::Server server = co_await asyncio::start_server(handle_echo, "127.0.0.1", 8888);
    co_await server.serve_forever();
    server.close();
    co_await server.wait_closed();
    auto [transport, protocol] =
        co_await asyncio::create_connection(std::make_shared<EchoClient>, host, 8888);
    server = co_await asyncio::create_server(std::make_shared<EchoServer>, std::nullopt, 8888);
}

// ---- Datagrams

struct Ping : asyncio::DatagramProtocol {
    void datagram_received(std::string_view data, const Address& addr) override;
    void error_received(const std::system_error& exc) override;
};

Coro<void> datagrams(Address addr, std::span<std::byte> buffer) {
    auto [transport, protocol] = co_await asyncio::create_datagram_endpoint(
        std::make_shared<Ping>, {.remote_addr = {"example.org", 9999}});
    co_await asyncio::create_datagram_endpoint(
        std::make_shared<Ping>, {.local_addr = {"0.0.0.0", 9999}, .reuse_port = true});
    co_await asyncio::create_datagram_endpoint(std::make_shared<Ping>,
                                               {.remote_addr = Address::local("/run/log")});
    transport->sendto("ping");
    transport->sendto("ping", addr);
    transport->abort();
    asyncio::Socket sock(AddressFamily::inet, SOCK_DGRAM);
    sock.bind(addr);
    auto [data, sender] = co_await asyncio::sock_recvfrom(sock, 4096);
    auto [size, from] = co_await asyncio::sock_recvfrom_into(sock, buffer);
    co_await asyncio::sock_sendto(sock, "pong", sender);
    co_await asyncio::create_datagram_endpoint(std::make_shared<Ping>, std::move(sock));
}

// ---- Pipes and files

Coro<void> pipes(asyncio::StreamWriter writer, int fd, asyncio::Socket socket) {
    auto input = co_await asyncio::open_read_pipe(stdin);
    auto output = co_await asyncio::open_write_pipe(stdout);
    auto [pipe, its_protocol] =
        co_await asyncio::connect_read_pipe(std::make_shared<EchoClient>, fd);
    co_await asyncio::sendfile(writer, fd, {.offset = 0, .count = 100});
    co_await asyncio::sock_sendfile(socket, fd);
}

// ---- Subprocesses

Coro<void> subprocesses(std::string cmd) {
    using asyncio::subprocess::PIPE;
    asyncio::Process p = co_await asyncio::create_subprocess_exec({"ls", "-l"}, {.stdout = PIPE});
    p = co_await asyncio::create_subprocess_shell(cmd, {.stdout = PIPE, .stderr = PIPE});
    auto [out, err] = co_await p.communicate();
    const std::string line = co_await p.stdout().readline();
    p.stdin().write("input");
    const int code = co_await p.wait();
    if (!p.returncode()) p.terminate();
    p.send_signal(SIGHUP);
    p.kill();
}

struct Watcher : asyncio::SubprocessProtocol {};

Coro<void> watched() {
    auto [transport, protocol] =
        co_await asyncio::subprocess_exec(std::make_shared<Watcher>, {"ls"});
    transport->get_pipe_transport(0)->write("input");
}

struct Printer : asyncio::SubprocessProtocol {
    explicit Printer(asyncio::Future<void> ended) : ended(std::move(ended)) {}
    void pipe_data_received(int fd, std::string_view data) override {
        std::printf("%d: %.*s", fd, static_cast<int>(data.size()), data.data());
    }
    void connection_lost(const std::exception_ptr&) override { ended.set_result(); }
    asyncio::Future<void> ended;
};

Coro<int> print(std::string command) {
    auto ended = asyncio::get_running_loop().create_future<void>();
    auto [transport, protocol] = co_await asyncio::subprocess_shell(
        [ended] { return std::make_shared<Printer>(ended); }, command);
    transport->get_pipe_transport(0)->write_eof();
    co_await ended;
    co_return transport->get_returncode().value();
}

// ---- What only C++ has to know

Coro<void> order() {
    auto either = asyncio::gather(asyncio::create_task(delay, 1s), asyncio::create_task(delay, 2s));

    auto in_order = asyncio::gather(delay(1s), delay(2s));

    auto first = asyncio::create_task(delay, 1s);
    auto second = asyncio::create_task(delay, 2s);
    auto in_order_too = asyncio::gather(first, second);
    co_return;
}

Coro<void> handler_that_awaits() {
    const auto outcome = co_await asyncio::settle(work());
    if (!outcome) {
        co_await log_out("user");
    }
    outcome.value();
}

Coro<void> greet(const std::string& name) {
    co_await asyncio::sleep(1s);
    std::puts(name.c_str());
}

Coro<void> references() {
    co_await greet("you");
    asyncio::create_task(greet, std::string("you"));
    asyncio::create_task(greet("you"));
}

Coro<void> captures(int count) {
    auto tell = [count]() -> Coro<void> {
        co_await asyncio::sleep(1s);
        std::printf("%d\n", count);
    };
    co_await tell();
    asyncio::create_task(tell);
    asyncio::create_task(tell());
}

Coro<void> forgotten(asyncio::Lock& lock) {
    auto nothing = lock.scoped();
    auto guard = co_await lock.scoped();
}

// ---- Other pages

void virtual_time(Coro<void> body()) {
    asyncio::testing::VirtualClock clock;
    auto loop = asyncio::new_event_loop({.clock = &clock});
    loop->run_until_complete(body());
}

}  // namespace porting
