// The reader of other processes: what it finds, when it finds it, and what it says when it cannot.
#include "child.hpp"
#include "inspect/reader.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace inspect = asyncio::inspect;
using inspect::Consistency;
using inspect::Loop;
using inspect::Reference;
using inspect::Snapshot;
using inspect::Task;
using inspect::TaskStatus;
using inspect::WaitKind;

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

std::vector<std::string> command(const std::string& target, const std::string& scene) {
    return {program_path("inspect_target_" + target), scene};
}

// Reads a program that is about to wait, which may take a while on a busy machine.
Snapshot read_waiting(const Child& child) {
    inspect::ReadOptions options;
    options.attempts = 15;
    return inspect::read_process(child.pid(), options);
}

// The line of target.cpp that is marked with `line: NAME`.
unsigned line_of(const std::string& name) {
    std::ifstream source(TARGET_SOURCE);
    unsigned number = 0;
    for (std::string line; std::getline(source, line);) {
        ++number;
        if (line.ends_with("// line: " + name)) {
            return number;
        }
    }
    ADD_FAILURE() << "no line is marked " << name;
    return 0;
}

// A snapshot of a program with one loop, by the names of its tasks.
struct Scene {
    explicit Scene(Snapshot read) : snapshot(std::move(read)) {
        EXPECT_EQ(snapshot.loops.size(), 1U);
        for (std::uint32_t i = 0; i < loop().tasks.size(); ++i) {
            index[loop().tasks[i].name] = i;
        }
    }

    const Loop& loop() const { return snapshot.loops.at(0); }
    const Task& task(const std::string& name) const { return loop().tasks.at(index.at(name)); }
    Reference reference_to(const std::string& name) const {
        return {Reference::Table::tasks, index.at(name)};
    }
    const inspect::Future& future(Reference reference) const {
        EXPECT_EQ(reference.table, Reference::Table::futures);
        return loop().futures.at(reference.index);
    }
    // "fetch:12 connect:7", outermost first.
    std::string stack(const Task& task) const {
        std::string text;
        for (const inspect::Frame& frame : task.stack) {
            const inspect::Place& at = snapshot.places.at(frame.at);
            EXPECT_EQ(at.file, TARGET_SOURCE);
            text += text.empty() ? "" : " ";
            text += snapshot.places.at(frame.function).function + ":" + std::to_string(at.line);
        }
        return text;
    }
    std::string created(std::uint32_t place) const {
        const inspect::Place& where = snapshot.places.at(place);
        return std::filesystem::path(where.file).filename().string() + ":" +
               std::to_string(where.line);
    }

    Snapshot snapshot;
    std::map<std::string, std::uint32_t> index;
};

std::string at_line(const std::string& function, const std::string& mark) {
    return function + ":" + std::to_string(line_of(mark));
}

// The stack of a task that runs fetch().
std::string fetch_stack() {
    return at_line("scenes::fetch", "fetch") + " " + at_line("scenes::request", "request") + " " +
           at_line("scenes::connect", "connect");
}

void expect_tree(const Scene& scene) {
    const Loop& loop = scene.loop();
    EXPECT_EQ(loop.consistency, Consistency::exact);
    EXPECT_EQ(loop.phase, inspect::Phase::polling);
    EXPECT_GT(loop.epoch, 3U);
    EXPECT_EQ(loop.tasks.size(), 12U);
    EXPECT_EQ(loop.tasks.front().name, "Task-1");
    EXPECT_EQ(scene.stack(loop.tasks.front()), at_line("scenes::tree", "tree"));
    EXPECT_EQ(loop.tasks.front().wait_kind, WaitKind::sleep);

    const Task& first = scene.task("fetch-1");
    EXPECT_EQ(scene.stack(first), fetch_stack());
    EXPECT_EQ(first.status, TaskStatus::waiting);
    EXPECT_EQ(first.wait_kind, WaitKind::sleep);
    EXPECT_EQ(first.cancelling, 0U);
    EXPECT_FALSE(first.waits_for);
    EXPECT_EQ(scene.created(first.created), at_line("target.cpp", "create fetch-1"));
    EXPECT_NE(
        scene.snapshot.places.at(first.stack[0].function).signature.find("scenes::fetch(int)"),
        std::string::npos);

    const Task& join = scene.task("join");
    EXPECT_EQ(scene.stack(join), at_line("scenes::join", "join"));
    EXPECT_EQ(join.wait_kind, WaitKind::task);
    EXPECT_EQ(join.waits_for, scene.reference_to("fetch-1"));
    EXPECT_EQ(scene.task("circle-0").waits_for, scene.reference_to("circle-1"));
    EXPECT_EQ(scene.task("circle-1").waits_for, scene.reference_to("circle-0"));
}

void expect_futures(const Scene& scene) {
    const Task& expecting =
        scene.task("a name that is far too long to be stored inside of a std::string, ünïcödé");
    EXPECT_EQ(scene.stack(expecting), at_line("scenes::expect", "expect"));
    EXPECT_EQ(expecting.wait_kind, WaitKind::future);
    const inspect::Future& future = scene.future(expecting.waits_for);
    EXPECT_EQ(future.kind, inspect::FutureKind::future);
    EXPECT_EQ(future.status, inspect::FutureStatus::pending);
    EXPECT_EQ(scene.created(future.created), at_line("target.cpp", "create future"));
    EXPECT_TRUE(future.children.empty());

    const Task& collect = scene.task("collect");
    EXPECT_EQ(scene.stack(collect), at_line("scenes::collect", "collect"));
    EXPECT_EQ(collect.wait_kind, WaitKind::gathering);
    const inspect::Future& gather = scene.future(collect.waits_for);
    EXPECT_EQ(gather.kind, inspect::FutureKind::gathering);
    ASSERT_EQ(gather.children.size(), 3U);
    ASSERT_EQ(gather.children[0].table, Reference::Table::tasks);
    const Task& unnamed = scene.loop().tasks.at(gather.children[0].index);
    EXPECT_TRUE(unnamed.name.starts_with("Task-")) << unnamed.name;
    EXPECT_EQ(scene.stack(unnamed), fetch_stack());
    EXPECT_EQ(gather.children[1], scene.reference_to("fetch-1"));
    const inspect::Future& done = scene.future(gather.children[2]);
    EXPECT_EQ(done.kind, inspect::FutureKind::task);
    EXPECT_EQ(done.status, inspect::FutureStatus::finished);
    EXPECT_TRUE(done.name.starts_with("Task-")) << done.name;

    const inspect::Future& shield = scene.future(scene.task("protect").waits_for);
    EXPECT_EQ(shield.kind, inspect::FutureKind::shielding);
    ASSERT_EQ(shield.children.size(), 1U);
    EXPECT_EQ(shield.children[0], scene.reference_to("fetch-1"));

    const inspect::Future& both = scene.future(scene.task("both").waits_for);
    ASSERT_EQ(both.children.size(), 2U);
    EXPECT_EQ(scene.future(both.children[0]).children.at(0), scene.reference_to("fetch-1"));
    EXPECT_EQ(both.children[1], expecting.waits_for);
}

void expect_cancelled_and_lambda(const Scene& scene) {
    const Task& stubborn = scene.task("stubborn");
    EXPECT_EQ(stubborn.cancelling, 1U);
    EXPECT_EQ(scene.stack(stubborn), at_line("scenes::refuse_to_end", "refuse_to_end"));
    const auto is_lambda = [&scene](const Task& task) {
        return scene.stack(task).find("<lambda>") != std::string::npos;
    };
    const auto& tasks = scene.loop().tasks;
    const auto lambda = std::find_if(tasks.begin(), tasks.end(), is_lambda);
    ASSERT_NE(lambda, tasks.end());
    EXPECT_TRUE(scene.stack(*lambda).starts_with("scenes::tree")) << scene.stack(*lambda);
    EXPECT_TRUE(scene.stack(*lambda).ends_with(at_line("::<lambda>", "lambda")))
        << scene.stack(*lambda);
}

class Targets : public ::testing::TestWithParam<std::string> {};

TEST_P(Targets, show_who_waits_for_whom) {
    Child child(command(GetParam(), "tree"));
    ASSERT_EQ(child.first_line(), "ready");
    child.wait_until_asleep();
    child.stop();
    const Scene scene(read_waiting(child));
    expect_tree(scene);
    expect_futures(scene);
    expect_cancelled_and_lambda(scene);
    EXPECT_EQ(scene.loop().thread_id, child.pid());
}

TEST_P(Targets, need_not_be_stopped) {
    Child child(command(GetParam(), "tree"));
    ASSERT_EQ(child.first_line(), "ready");
    const Scene scene(read_waiting(child));
    expect_tree(scene);
    expect_futures(scene);
}

INSTANTIATE_TEST_SUITE_P(Reader, Targets, ::testing::ValuesIn(split(TARGET_NAMES, ',')),
                         [](const auto& parameter) { return parameter.param; });

// ---- files that changed since the process began

// A copy of a target in a folder of its own.
class CopiedTarget : public ::testing::Test {
protected:
    CopiedTarget() {
        std::string pattern = std::filesystem::temp_directory_path() / "inspect_XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        std::filesystem::copy_file(program_path("inspect_target_plain"), program());
    }
    ~CopiedTarget() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path program() const { return folder_ / "program"; }

private:
    std::filesystem::path folder_;
};

TEST_F(CopiedTarget, may_be_deleted) {
    Child child({program(), "tree"});
    ASSERT_EQ(child.first_line(), "ready");
    std::filesystem::remove(program());
    expect_tree(Scene(read_waiting(child)));
}

TEST_F(CopiedTarget, may_have_lost_its_table_of_sections) {
    {
        // e_shoff, and e_shentsize to e_shstrndx.
        std::fstream file(program(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(0x28).write("\0\0\0\0\0\0\0\0", 8);
        file.seekp(0x3a).write("\0\0\0\0\0\0", 6);
    }
    Child child({program(), "tree"});
    ASSERT_EQ(child.first_line(), "ready");
    expect_tree(Scene(read_waiting(child)));
}

// ---- loops that run

TEST(Reader, tells_that_a_loop_is_in_the_middle_of_a_step) {
    Child child(command("plain", "spin"));
    ASSERT_EQ(child.first_line(), "ready");
    const Scene scene(inspect::read_process(child.pid()));
    EXPECT_EQ(scene.loop().consistency, Consistency::busy);
    EXPECT_EQ(scene.loop().phase, inspect::Phase::running);
    EXPECT_EQ(scene.loop().tasks.size(), 2U);
    EXPECT_EQ(scene.stack(scene.task("fetch-1")), fetch_stack());
    EXPECT_EQ(scene.task("Task-1").waits_for, scene.reference_to("fetch-1"));
}

TEST(Reader, tells_which_task_runs) {
    Child child(command("plain", "crunch"));
    ASSERT_EQ(child.first_line(), "ready");
    const Scene scene(inspect::read_process(child.pid()));
    EXPECT_EQ(scene.loop().consistency, Consistency::busy);
    const Task& cruncher = scene.task("cruncher");
    EXPECT_EQ(cruncher.status, TaskStatus::running);
    EXPECT_EQ(scene.stack(cruncher), at_line("scenes::compute", "compute"));
    EXPECT_EQ(scene.task("Task-1").status, TaskStatus::waiting);
}

TEST(Reader, is_not_confused_by_what_changes_while_it_reads) {
    Child child(command("plain", "churn"));
    ASSERT_EQ(child.first_line(), "ready");
    std::map<Consistency, int> seen;
    inspect::ReadOptions options;
    options.attempts = 1;
    // It goes on while the program has not run meanwhile, or has only run: both must be seen.
    const auto has_seen_both = [&seen] {
        return seen[Consistency::exact] > 0 &&
               seen[Consistency::torn] + seen[Consistency::busy] > 0;
    };
    for (int i = 0; i < 2000 || (i < 100'000 && !has_seen_both()); ++i) {
        const Snapshot snapshot = inspect::read_process(child.pid(), options);
        ASSERT_EQ(snapshot.loops.size(), 1U);
        const Loop& loop = snapshot.loops[0];
        ++seen[loop.consistency];
        if (loop.consistency != Consistency::exact) {
            continue;
        }
        // Twenty workers, each with at most two children.
        EXPECT_LE(loop.tasks.size(), 61U);
        for (const Task& task : loop.tasks) {
            EXPECT_FALSE(task.stack.empty()) << task.name;
            EXPECT_TRUE(task.name.starts_with("Task-") || task.name.starts_with("worker-"))
                << task.name;
            EXPECT_NE(task.status, TaskStatus::running) << task.name;
        }
    }
    RecordProperty("exact", seen[Consistency::exact]);
    EXPECT_TRUE(has_seen_both());
}

TEST(Reader, sees_every_loop_of_a_process) {
    Child child(command("plain", "threads"));
    ASSERT_EQ(child.first_line(), "ready");
    const Snapshot snapshot = read_waiting(child);
    ASSERT_EQ(snapshot.loops.size(), 3U);
    std::set<int> thread_ids;
    std::size_t tasks = 0;
    for (const Loop& loop : snapshot.loops) {
        EXPECT_EQ(loop.consistency, Consistency::exact);
        EXPECT_EQ(loop.thread_id == 0, loop.phase == inspect::Phase::idle);
        thread_ids.insert(loop.thread_id);
        tasks += loop.tasks.size();
        if (loop.thread_id != 0) {
            EXPECT_TRUE(std::filesystem::exists("/proc/" + std::to_string(child.pid()) + "/task/" +
                                                std::to_string(loop.thread_id)));
        }
    }
    EXPECT_EQ(thread_ids.size(), 3U);
    EXPECT_TRUE(thread_ids.contains(child.pid()));
    EXPECT_EQ(tasks, 3U);
}

TEST(Reader, tells_the_loops_of_a_forked_process_apart) {
    Child child(command("plain", "forked"));
    const pid_t forked = std::stoi(child.first_line());
    const Snapshot snapshot = inspect::read_process(forked);
    ASSERT_EQ(snapshot.loops.size(), 2U);  // its own, and a copy of its parent's
    EXPECT_EQ(snapshot.loops[0].thread_id, forked);
    EXPECT_EQ(snapshot.loops[1].thread_id, child.pid());
}

// ---- sizes

TEST(Reader, reads_a_hundred_thousand_tasks) {
    Child child(command("plain", "many"));
    ASSERT_EQ(child.first_line(), "ready");
    const auto begin = std::chrono::steady_clock::now();
    const Scene scene(read_waiting(child));
    const auto took = std::chrono::steady_clock::now() - begin;
    RecordProperty("milliseconds",
                   std::to_string(std::chrono::duration<double, std::milli>(took).count()));
    EXPECT_EQ(scene.loop().consistency, Consistency::exact);
    ASSERT_EQ(scene.loop().tasks.size(), 100'001U);
    EXPECT_EQ(scene.index.size(), 100'001U);
    const std::string expected = fetch_stack();
    for (std::size_t i = 1; i < scene.loop().tasks.size(); i += 997) {
        EXPECT_EQ(scene.stack(scene.loop().tasks[i]), expected);
    }
    // Each place once, however many tasks stand there.
    EXPECT_LT(scene.snapshot.places.size(), 20U);
}

TEST(Reader, reads_a_chain_of_a_hundred_thousand_coroutines) {
    Child child(command("plain", "deep"));
    ASSERT_EQ(child.first_line(), "ready");
    const Scene scene(read_waiting(child));
    EXPECT_EQ(scene.loop().consistency, Consistency::exact);
    const std::vector<inspect::Frame>& stack = scene.task("diver").stack;
    ASSERT_EQ(stack.size(), 100'001U);
    EXPECT_EQ(scene.snapshot.places.at(stack.front().at).line, line_of("descend"));
    EXPECT_EQ(scene.snapshot.places.at(stack.back().at).line, line_of("bottom"));
}

// ---- what cannot be read

void expect_refusal(pid_t pid, inspect::ReadError::Reason reason, const std::string& words) {
    try {
        inspect::read_process(pid);
        ADD_FAILURE() << "the process was read";
    } catch (const inspect::ReadError& error) {
        EXPECT_EQ(error.reason(), reason) << error.what();
        EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find(std::to_string(pid)), std::string::npos);
    }
}

TEST(Refusals, a_process_that_does_not_exist) {
    Child child(command("plain", "tree"));
    const pid_t pid = child.pid();
    child.kill();
    expect_refusal(pid, inspect::ReadError::Reason::no_process, "no process");
}

TEST(Refusals, a_process_that_has_ended_but_was_not_waited_for) {
    const Child child(command("plain", "tree"));
    child.kill_without_waiting();
    expect_refusal(child.pid(), inspect::ReadError::Reason::no_process, "has ended");
}

TEST(Refusals, a_process_without_asyncio) {
    const Child child({"/bin/sh", "-c", "echo ready; exec sleep 600"});
    expect_refusal(child.pid(), inspect::ReadError::Reason::no_asyncio, ".asyncio.debug");
}

TEST(Refusals, a_layout_of_another_version) {
    const Child child(command("plain", "of_the_future"));
    expect_refusal(child.pid(), inspect::ReadError::Reason::unknown_version, "99.0");
}

TEST(Refusals, a_process_that_the_kernel_protects) {
    const Child child(command("plain", "hidden"));
    ASSERT_EQ(child.first_line(), "ready");
    // A process that hides itself is open to root only, so a child of this test gives that up.
    const pid_t reader = ::fork();
    if (reader == 0) {
        constexpr uid_t nobody = 65534;
        if (::getuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) {
            ::_exit(3);
        }
        expect_refusal(child.pid(), inspect::ReadError::Reason::no_permission, "not permitted");
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(reader, &status, 0), reader);
    EXPECT_EQ(status, 0);
}

}  // namespace
