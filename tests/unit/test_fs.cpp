// asyncio::fs: files that are read and written in threads.
#include "loop_fixture.hpp"
#include "thread_states.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

namespace {

using asyncio::Coro;
namespace fs = asyncio::fs;

class Files : public LoopFixture {
protected:
    Files() {
        char name[] = "/tmp/asyncio-files-XXXXXX";
        folder = ::mkdtemp(name);
    }
    ~Files() override { std::filesystem::remove_all(folder); }

    std::string path(const std::string& name) const { return folder + "/" + name; }
    std::string content(const std::string& name) const {
        std::ifstream file(path(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::size_t file_count() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                      std::filesystem::directory_iterator()));
    }
    template <class F>
    auto run(F body) {
        return loop->run_until_complete(body());
    }

    std::string folder;
};

TEST_F(Files, what_is_written_can_be_read_back) {
    const std::string big(3'000'000, 'x');
    loop->run_until_complete(fs::write_file(path("a"), "first"));
    loop->run_until_complete(fs::write_file(path("a"), big));
    EXPECT_EQ(loop->run_until_complete(fs::read_file(path("a"))), big);
}

TEST_F(Files, files_whose_size_the_kernel_does_not_know_are_read_to_the_end) {
    EXPECT_NE(loop->run_until_complete(fs::read_file("/proc/self/status")).find("Name:"),
              std::string::npos);
}

TEST_F(Files, what_comes_through_a_pipe_is_read_to_the_end) {
    const std::string big(1'000'000, 'p');
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(path("pipe")) << big; });
    EXPECT_EQ(loop->run_until_complete(fs::read_file(path("pipe"))), big);
    writer.join();
}

TEST_F(Files, a_number_larger_than_the_file_reads_what_there_is) {
    const std::string big(300'000, 'n');
    run([&]() -> Coro<void> {
        co_await fs::write_file(path("a"), "line\n" + big);
        const auto file = co_await fs::open(path("a"));
        EXPECT_EQ(co_await file.readline(), "line\n");
        EXPECT_EQ(co_await file.read(200'000), big.substr(0, 200'000));
        EXPECT_EQ(co_await file.read(std::size_t{1} << 60), big.substr(200'000));
    });
}

TEST_F(Files, those_that_were_read_keep_little_memory) {
    const auto in_use = [] {
        const struct ::mallinfo2 heap = ::mallinfo2();
        return heap.uordblks + heap.hblkhd;
    };
    loop->set_default_executor(std::make_shared<asyncio::ThreadPoolExecutor>(1));
    run([&]() -> Coro<void> {
        co_await fs::write_file(path("a"), "small");
        std::vector<fs::File> files;
        const auto read_some = [&]() -> Coro<void> {
            for (int i = 0; i < 10; ++i) {
                files.push_back(co_await fs::open(path("a")));
                EXPECT_EQ(co_await files.back().read(), "small");
            }
        };
        co_await read_some();  // now both threads have what they keep for frames and the like
        const std::size_t before = in_use();
        co_await read_some();
        EXPECT_LT(in_use(), before + 1'000'000);
    });
}

TEST_F(Files, errors_carry_the_path) {
    run([this]() -> Coro<void> {
        try {
            co_await fs::read_file(path("missing"));
            ADD_FAILURE();
        } catch (const fs::FileError& error) {
            EXPECT_EQ(error.path(), path("missing"));
            EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
            EXPECT_EQ(std::string(error.what()),
                      "open '" + path("missing") + "': No such file or directory");
        }
        EXPECT_THROW(co_await fs::read_file(folder), fs::FileError);
        EXPECT_THROW(co_await fs::write_file(path("no/folder"), "x"), fs::FileError);
    });
}

TEST_F(Files, an_error_of_an_atomic_write_carries_the_path_that_was_given) {
    run([this]() -> Coro<void> {
        try {
            co_await fs::write_file(path("no/folder"), "x", {.atomic = true});
            ADD_FAILURE();
        } catch (const fs::FileError& error) {
            EXPECT_EQ(error.path(), path("no/folder"));
            EXPECT_EQ(std::string(error.what()),
                      "open '" + path("no/folder") + "': No such file or directory");
        }
    });
}

TEST_F(Files, an_atomic_write_replaces_the_file_and_leaves_nothing_else) {
    run([this]() -> Coro<void> {
        co_await fs::write_file(path("a"), "old");
        ::chmod(path("a").c_str(), 0640);
        std::filesystem::create_symlink("a", path("link"));
        const auto reader = co_await fs::open(path("a"));
        co_await fs::write_file(path("link"), "new", {.atomic = true});
        EXPECT_EQ(co_await reader.read(), "old") << "who has the old file keeps it";
    });
    EXPECT_EQ(content("a"), "new");
    EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
    struct ::stat status{};
    ::stat(path("a").c_str(), &status);
    EXPECT_EQ(status.st_mode & 0777, 0640U);
    EXPECT_EQ(file_count(), 2U);
}

TEST_F(Files, an_atomic_write_that_fails_leaves_the_folder_as_it_was) {
    std::filesystem::create_directory(path("taken"));
    EXPECT_THROW(loop->run_until_complete(fs::write_file(path("taken"), "x", {.atomic = true})),
                 fs::FileError);
    EXPECT_EQ(file_count(), 1U);
}

TEST_F(Files, lines_come_one_by_one_with_their_ends) {
    const std::string long_line(200'000, 'y');
    run([&]() -> Coro<void> {
        co_await fs::write_file(path("a"), "one\n\n" + long_line + "\nlast");
        const auto file = co_await fs::open(path("a"));
        EXPECT_EQ(co_await file.readline(), "one\n");
        EXPECT_EQ(co_await file.readline(), "\n");
        EXPECT_EQ(co_await file.readline(), long_line + "\n");
        EXPECT_EQ(co_await file.readline(), "last");
        EXPECT_EQ(co_await file.readline(), "");
    });
}

TEST_F(Files, reading_writing_and_seeking_agree_about_the_place) {
    run([this]() -> Coro<void> {
        auto file = co_await fs::open(path("a"), "w+");
        co_await file.write("0123456789\nabc");
        EXPECT_EQ(co_await file.seek(2), 2);
        EXPECT_EQ(co_await file.read(3), "234");
        EXPECT_EQ(co_await file.seek(0, fs::Whence::current), 5) << "what was read ahead is not";
        co_await file.write("X");
        EXPECT_EQ(co_await file.readline(), "6789\n");
        co_await file.write("A");
        EXPECT_EQ(co_await file.seek(-3, fs::Whence::end), 11);
        EXPECT_EQ(co_await file.read(), "Abc");
        EXPECT_EQ(co_await file.read(5), "");
        co_await file.sync();
        co_await file.close();
    });
    EXPECT_EQ(content("a"), "01234X6789\nAbc");
}

TEST_F(Files, modes_are_those_of_python) {
    run([this]() -> Coro<void> {
        co_await fs::write_file(path("a"), "one");
        EXPECT_THROW(co_await fs::open(path("a"), "x"), fs::FileError);
        const auto appending = co_await fs::open(path("a"), "ab");
        co_await appending.write(" two");
        EXPECT_THROW(co_await appending.read(), fs::FileError);
        const auto reading = co_await fs::open(path("a"));
        EXPECT_THROW(co_await reading.write("x"), fs::FileError);
        EXPECT_EQ(co_await reading.read(), "one two");
        for (const char* const mode : {"", "+", "rw", "q"}) {
            EXPECT_THROW(co_await fs::open(path("a"), mode), asyncio::ValueError) << mode;
        }
    });
}

TEST_F(Files, a_closed_file_is_refused) {
    run([this]() -> Coro<void> {
        auto file = co_await fs::open(path("a"), "w");
        EXPECT_TRUE(file);
        co_await file.close();
        co_await file.close();
        EXPECT_FALSE(file);
        EXPECT_THROW(co_await file.write("x"), asyncio::ValueError);
        EXPECT_THROW(co_await file.readline(), asyncio::ValueError);
    });
}

TEST_F(Files, a_file_may_be_dropped_while_an_operation_runs) {
    run([this]() -> Coro<void> {
        auto file = co_await fs::open(path("a"), "w");
        auto write = asyncio::create_task(file.write(std::string(1'000'000, 'z')));
        co_await asyncio::sleep(std::chrono::seconds(0));
        file = {};
        co_await write;
    });
    EXPECT_EQ(content("a").size(), 1'000'000U);
}

std::atomic<int> interruptions{0};

// Runs a call in a thread that signals reach.
class OpenToSignals final : public asyncio::Executor {
public:
    void shutdown(bool, bool) override {
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    // Returns when the thread has waited for something, and a signal has come between.
    void interrupt() {
        tid_.wait(0);
        thread_states::await_sleep("/proc/self/task/" + std::to_string(tid_));
        const int before = interruptions;
        ::syscall(SYS_tgkill, ::getpid(), tid_.load(), SIGUSR1);
        while (interruptions == before) {
            std::this_thread::yield();
        }
    }

protected:
    void execute(asyncio::Job job) override {
        thread_ = std::thread([this, job = std::move(job)]() mutable {
            tid_ = ::gettid();
            tid_.notify_one();
            std::move(job).run();
        });
    }

private:
    std::atomic<pid_t> tid_{0};
    std::thread thread_;
};

TEST_F(Files, a_signal_that_comes_between_is_no_error) {
    struct sigaction action{};
    action.sa_handler = [](int) { ++interruptions; };
    ::sigaction(SIGUSR1, &action, nullptr);
    const auto executor = std::make_shared<OpenToSignals>();
    loop->set_default_executor(executor);
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    std::thread writer([&] {
        executor->interrupt();  // it opens the pipe
        std::ofstream pipe(path("pipe"));
        executor->interrupt();  // it reads
        pipe << "text";
    });
    EXPECT_EQ(loop->run_until_complete(fs::read_file(path("pipe"))), "text");
    writer.join();
}

}  // namespace
