// Starting programs.
#include <asyncio/exceptions.hpp>

#include "net/spawn.hpp"
#include "process_fixture.hpp"
#include "sanitizers.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace {

using asyncio::ValueError;
using asyncio::detail::spawn;

// Runs it to its end. What it prints; fails unless it ends well.
std::string output_of(SpawnRequest request) {
    PipeEnds ends;
    request.standard_output = Stdio::descriptor(ends.writer.get());
    const pid_t pid = spawn(request);
    ends.writer = asyncio::detail::UniqueFd();
    std::string output = read_all(ends.reader.get());
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    return output;
}

// A folder that goes with the test.
class Folder {
public:
    Folder() {
        char name[] = "/tmp/asyncio-spawn-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    const std::string& path() const noexcept { return path_; }
    // A script that prints its name for itself; `mode` tells who may run it.
    std::string add_program(const std::string& name, mode_t mode = 0755) const {
        const std::string program = path_ + "/" + name;
        std::ofstream(program) << "#!/bin/sh\necho " << name << " in $PWD\n";
        EXPECT_EQ(::chmod(program.c_str(), mode), 0);
        return program;
    }

private:
    std::string path_;
};

std::exception_ptr error_of(const SpawnRequest& request) {
    try {
        (void)spawn(request);
        return nullptr;
    } catch (...) {
        return std::current_exception();
    }
}

// What went wrong, and with what.
std::string describe(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::filesystem::filesystem_error& failure) {
        return failure.path1().string() + ": " + failure.code().message();
    } catch (const std::system_error& failure) {
        return failure.code().message();
    }
}

std::string failure_of(const SpawnRequest& request) {
    const std::set<int> open = open_descriptors();
    std::string failure = describe(error_of(request));
    EXPECT_EQ(open_descriptors(), open);
    EXPECT_FALSE(has_children());
    return failure;
}

// ---- arguments, environment, directory

TEST(Spawn, arguments_arrive_as_they_are) {
    EXPECT_EQ(output_of(shell("printf '<%s>' \"$@\"", {"a b", "", "$HOME", "'\"\\"})),
              "<a b><><$HOME><'\"\\>");
}

TEST(Spawn, the_program_may_have_another_name_than_its_first_argument) {
    SpawnRequest request = shell("echo $0");
    request.argv[0] = "called";
    request.argv[3] = "named";
    request.executable = "/bin/sh";
    EXPECT_EQ(output_of(request), "named\n");
}

TEST(Spawn, the_environment_is_the_parents_or_the_given_one) {
    ::setenv("ASYNCIO_SPAWN", "parent", 1);
    SpawnRequest request = shell("echo \"${ASYNCIO_SPAWN-unset}\"");
    EXPECT_EQ(output_of(request), "parent\n");
    request.env = {"ASYNCIO_SPAWN=given"};
    EXPECT_EQ(output_of(request), "given\n");
    request.env = std::vector<std::string>();
    EXPECT_EQ(output_of(request), "unset\n");
}

TEST(Spawn, a_name_without_a_slash_is_looked_up_in_the_programs_own_path) {
    const Folder first;
    const Folder second;
    second.add_program("tool");
    SpawnRequest request;
    request.argv = {"tool"};
    request.env = {"PATH=/nowhere:" + first.path() + ":" + second.path() + ":/bin"};
    request.cwd = "/";
    EXPECT_EQ(output_of(request), "tool in /\n");
    // One that may not be run does not hide one that may.
    first.add_program("tool", 0644);
    EXPECT_EQ(output_of(request), "tool in /\n");
    first.add_program("tool");
    EXPECT_EQ(output_of(request), "tool in /\n");
    request.argv = {"sh", "-c", "echo found"};
    EXPECT_EQ(output_of(request), "found\n");
    request.env = std::vector<std::string>();  // without a PATH, the usual folders
    EXPECT_EQ(output_of(request), "found\n");
}

TEST(Spawn, relative_names_are_looked_up_in_the_new_directory) {
    const Folder folder;
    folder.add_program("tool");
    SpawnRequest request;
    request.cwd = folder.path();
    request.argv = {"./tool"};
    EXPECT_EQ(output_of(request), "tool in " + folder.path() + "\n");
    request.argv = {"tool"};
    request.env = {"PATH=/nowhere:"};  // an empty folder is the current one
    EXPECT_EQ(output_of(request), "tool in " + folder.path() + "\n");
}

// ---- standard descriptors

TEST(Spawn, standard_descriptors_lead_where_they_are_told) {
    PipeEnds input;
    EXPECT_EQ(::write(input.writer.get(), "in\n", 3), 3);
    SpawnRequest request = shell("read line; echo $line; echo error >&2");
    request.standard_input = Stdio::descriptor(input.reader.get());
    request.standard_error = Stdio::standard_output();
    EXPECT_EQ(output_of(request), "in\nerror\n");
    request = shell("cat; echo lost >&2; echo end");
    request.standard_input = Stdio::null_device();
    request.standard_error = Stdio::null_device();
    EXPECT_EQ(output_of(request), "end\n");
}

TEST(Spawn, inherited_descriptors_lead_where_the_parents_do) {
    PipeEnds ends;
    ::dup2(ends.writer.get(), STDERR_FILENO);
    ends.writer = asyncio::detail::UniqueFd();
    EXPECT_EQ(output_of(shell("echo to the error >&2")), "");
    ::close(STDERR_FILENO);
    EXPECT_EQ(read_all(ends.reader.get()), "to the error\n");
}

TEST(Spawn, the_parents_standard_descriptors_may_change_places) {
    PipeEnds first;
    PipeEnds second;
    const int saved = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    ::dup2(first.writer.get(), STDOUT_FILENO);
    ::dup2(second.writer.get(), STDERR_FILENO);
    SpawnRequest request = shell("echo output; echo error >&2");
    request.standard_output = Stdio::descriptor(STDERR_FILENO);
    request.standard_error = Stdio::descriptor(STDOUT_FILENO);
    await_end(spawn(request));
    ::dup2(saved, STDOUT_FILENO);
    ::close(STDERR_FILENO);
    first.writer = asyncio::detail::UniqueFd();
    second.writer = asyncio::detail::UniqueFd();
    EXPECT_EQ(read_all(first.reader.get()), "error\n");
    EXPECT_EQ(read_all(second.reader.get()), "output\n");
}

TEST(Spawn, a_parent_without_standard_descriptors_gives_its_children_theirs) {
    PipeEnds ends;
    ::close(STDIN_FILENO);  // the null device and the pipe's copies take such numbers
    SpawnRequest request = shell("cat; echo output; echo error >&2");
    request.standard_input = Stdio::null_device();
    request.standard_error = Stdio::standard_output();
    EXPECT_EQ(output_of(request), "output\nerror\n");
    request.standard_input = Stdio();
    request.argv[2] = "echo output; cat <&- 2> /dev/null; true";
    EXPECT_EQ(output_of(request), "output\n");
}

TEST(Spawn, S301_no_other_descriptor_is_inherited) {
    const PipeEnds closed_on_exec;
    int left_open[2];
    ASSERT_EQ(::pipe(left_open), 0);
    const int high = ::fcntl(left_open[0], F_DUPFD, 200);
    const std::string list = "ls /proc/self/fd";
    // The fourth is ls itself, which reads the folder.
    EXPECT_EQ(output_of(shell(list)), "0\n1\n2\n3\n");
    SpawnRequest request = shell(list);
    request.pass_fds = {high, left_open[1], closed_on_exec.reader.get(), high};
    std::set<int> expected{0, 1, 2, left_open[1], closed_on_exec.reader.get(), high};
    std::string text = output_of(request);
    for (const int fd : expected) {
        EXPECT_EQ(text.find(std::to_string(fd) + "\n") != text.npos, true) << fd << " in " << text;
    }
    EXPECT_EQ(std::ranges::count(text, '\n'), static_cast<std::ptrdiff_t>(expected.size()) + 1);
}

TEST(Spawn, S301_what_a_sandbox_does_not_close_in_one_call_is_closed_one_by_one) {
    if (!refuse(SYS_close_range, EPERM)) {
        GTEST_SKIP() << no_filters;
    }
    int left_open[2];
    ASSERT_EQ(::pipe(left_open), 0);
    EXPECT_EQ(output_of(shell("ls /proc/self/fd")), "0\n1\n2\n3\n");
}

// ---- signals, sessions, groups

// The signals that a program blocks ("SigBlk") or ignores ("SigIgn"), one bit for each, without the
// real-time ones, of which the C library ignores two in every program it starts.
unsigned long signals_of_program(const std::string& what, bool restored) {
    SpawnRequest request;
    request.argv = {"/bin/grep", what, "/proc/self/status"};
    request.restore_signals = restored;
    return std::stoul(output_of(request).substr(what.size() + 2), nullptr, 16) & 0x7fffffff;
}

constexpr unsigned long bit(int number) { return 1UL << (number - 1); }

TEST(Spawn, signals_are_as_if_the_parent_had_not_touched_them) {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGUSR1, [](int) {});
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGQUIT, SIG_DFL);
    // What the parent ignores otherwise stays so, as nohup needs it.
    std::signal(SIGHUP, SIG_IGN);
    EXPECT_EQ(signals_of_program("SigBlk", true), 0U);
    EXPECT_EQ(signals_of_program("SigIgn", true), bit(SIGHUP));
    EXPECT_EQ(signals_of_program("SigBlk", false), bit(SIGTERM));
    EXPECT_EQ(signals_of_program("SigIgn", false), bit(SIGHUP) | bit(SIGPIPE) | bit(SIGXFSZ));
}

TEST(Spawn, a_program_may_have_a_session_or_a_group_of_its_own) {
    // Fields 1, 5 and 6: the process, its group and its session.
    const std::string ids = "read pid name state parent group session rest < /proc/$$/stat; "
                            "[ $group = $pid ] && echo group; [ $session = $pid ] && echo session; "
                            "[ $group = $1 ] && echo parent; true";
    SpawnRequest request = shell(ids, {std::to_string(::getpgrp())});
    EXPECT_EQ(output_of(request), "parent\n");
    request.process_group = 0;
    EXPECT_EQ(output_of(request), "group\n");
    request.process_group.reset();
    request.start_new_session = true;
    EXPECT_EQ(output_of(request), "group\nsession\n");
}

// ---- failures

TEST(Spawn, S302_a_program_that_cannot_be_started_is_an_error_at_once_and_leaves_nothing) {
    const Folder folder;
    SpawnRequest request;
    request.standard_input = Stdio::null_device();
    request.argv = {"/nowhere/program"};
    EXPECT_EQ(failure_of(request), "/nowhere/program: No such file or directory");
    request.argv = {"/bin/true/program"};
    EXPECT_EQ(failure_of(request), "/bin/true/program: Not a directory");
    request.argv = {"asyncio-no-such-program"};
    EXPECT_EQ(failure_of(request), "asyncio-no-such-program: No such file or directory");
    request.argv = {folder.add_program("forbidden", 0644)};
    EXPECT_EQ(failure_of(request), request.argv[0] + ": Permission denied");
    request.argv = {"forbidden"};
    request.env = {"PATH=" + folder.path() + ":/bin"};
    EXPECT_EQ(failure_of(request), "forbidden: Permission denied");
    std::ofstream(folder.path() + "/empty") << "?";
    ::chmod((folder.path() + "/empty").c_str(), 0755);
    request.argv = {folder.path() + "/empty"};
    EXPECT_EQ(failure_of(request), request.argv[0] + ": Exec format error");
    request.argv = {"/bin/true", std::string(std::size_t{8} << 20, 'x')};
    EXPECT_EQ(failure_of(request), "/bin/true: Argument list too long");
}

TEST(Spawn, S302_a_bad_directory_is_told_apart_from_a_missing_program) {
    SpawnRequest request;
    request.argv = {"/bin/true"};
    request.cwd = "/nowhere";
    EXPECT_EQ(failure_of(request), "/nowhere: No such file or directory");
    request.cwd = "/bin/true";
    EXPECT_EQ(failure_of(request), "/bin/true: Not a directory");
    request.cwd = "/";
    request.argv = {"/nowhere/program"};
    EXPECT_EQ(failure_of(request), "/nowhere/program: No such file or directory");
    const Folder closed;
    EXPECT_EQ(::chmod(closed.path().c_str(), 0), 0);
    const uid_t user = ::geteuid();
    if (user == 0) {
        EXPECT_EQ(::seteuid(65534), 0);  // the administrator may enter it
    }
    request.argv = {"/bin/true"};
    request.cwd = closed.path();
    EXPECT_EQ(failure_of(request), closed.path() + ": Permission denied");
    EXPECT_EQ(::seteuid(user), 0);
}

TEST(Spawn, S302_descriptors_that_are_not_open_are_refused) {
    SpawnRequest request;
    request.argv = {"/bin/true"};
    request.standard_output = Stdio::descriptor(1000);
    EXPECT_EQ(failure_of(request), "/bin/true: Bad file descriptor");
    request.standard_output = Stdio::descriptor(-1);
    EXPECT_EQ(failure_of(request), "Bad file descriptor");
    request.standard_output = Stdio();
    request.pass_fds = {1000};
    EXPECT_EQ(failure_of(request), "/bin/true: Bad file descriptor");
    ::close(STDIN_FILENO);
    request.pass_fds = {};
    request.standard_output = Stdio::descriptor(STDIN_FILENO);
    EXPECT_EQ(failure_of(request), "Bad file descriptor");
}

TEST(Spawn, S302_when_no_descriptor_or_process_is_left_nothing_leaks) {
    if (built_with_ubsan) {
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
    }
    SpawnRequest request;
    request.argv = {"/bin/true"};
    request.cwd = "/";
    request.standard_input = Stdio::null_device();
    const int first_free = ::dup(0);
    ::close(first_free);
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = static_cast<rlim_t>(first_free) + 1;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    const std::set<int> open = open_descriptors();
    const std::exception_ptr error = error_of(request);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(describe(error), "Too many open files");
    EXPECT_EQ(open_descriptors(), open);
    EXPECT_FALSE(has_children());
    // In a process of its own: sanitizers need clone when they end.
    EXPECT_EXIT(
        {
            if (!refuse(SYS_clone, EAGAIN) || !refuse(SYS_clone3, EAGAIN)) {
                ::_exit(0);
            }
            const std::string failure = failure_of(request);
            ::_exit(failure == "/bin/true: Resource temporarily unavailable" && !HasFailure() ? 0
                                                                                              : 1);
        },
        ::testing::ExitedWithCode(0), "");
}

TEST(Spawn, zero_bytes_and_no_arguments_are_refused) {
    SpawnRequest request;
    EXPECT_THROW((void)spawn(request), ValueError);
    const std::string bad("a\0b", 3);
    request.argv = {"/bin/true", bad};
    EXPECT_THROW((void)spawn(request), ValueError);
    request.argv = {"/bin/true"};
    for (std::string SpawnRequest::* text : {&SpawnRequest::cwd, &SpawnRequest::executable}) {
        request.*text = bad;
        EXPECT_THROW((void)spawn(request), ValueError);
        (request.*text).clear();
    }
    request.env = {bad};
    EXPECT_THROW((void)spawn(request), ValueError);
}

}  // namespace
