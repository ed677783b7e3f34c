// getaddrinfo and getnameinfo: off the loop, and once for equal questions.
#include "loop_fixture.hpp"
#include "sanitizers.hpp"
#include "scripted_names.hpp"

#include <netdb.h>

#include <thread>

namespace {

using namespace std::chrono_literals;
using asyncio::Address;
using asyncio::AddressInfo;
using asyncio::Coro;
using scripted_names::NameScript;
using AddressList = std::vector<AddressInfo>;

class Names : public LoopFixture {
protected:
    void SetUp() override { NameScript::reset(); }
    void TearDown() override {
        LoopFixture::TearDown();
        NameScript::release_slow_names();
        while (NameScript::waiting() > 0) {
            std::this_thread::yield();
        }
    }
    template <class... Args>
    auto look_up(Args... args) {
        return loop->create_task(
            [](Args... given) { return asyncio::getaddrinfo(std::move(given)...); },
            std::move(args)...);
    }
    // Goes on until so many look-ups wait for the script.
    void run_until_waiting(std::size_t count) {
        while (NameScript::waiting() < count) {
            iterate();
        }
    }
};

const asyncio::AddressInfoOptions stream{.type = SOCK_STREAM};

TEST_F(Names, a_name_is_looked_up_by_a_thread_of_the_librarys_own) {
    const auto found =
        loop->run_until_complete(look_up(std::string("host.test"), std::uint16_t{80}, stream));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].address, Address("127.0.0.1", 80));
    EXPECT_EQ(found[0].type, SOCK_STREAM);
    EXPECT_EQ(NameScript::asked(), std::vector<std::string>{"host.test"});
    EXPECT_TRUE(NameScript::threads()[0].starts_with("asyncio-dns"));
}

TEST_F(Names, addresses_are_answered_without_a_thread) {
    for (const char* const ip : {"127.0.0.1", "::1", ""}) {
        const auto found = look_up(std::string(ip), std::uint16_t{443}, stream);
        iterate();
        ASSERT_TRUE(found.done()) << ip;
        ASSERT_FALSE(found.result().empty());
        EXPECT_EQ(found.result()[0].address.port(), 443);
    }
    for (const std::string& thread : NameScript::threads()) {
        EXPECT_FALSE(thread.starts_with("asyncio-dns"));
    }
}

TEST_F(Names, errors_carry_the_code) {
    const auto code_of = [this](const char* name) {
        try {
            loop->run_until_complete(look_up(std::string(name), std::uint16_t{80}));
        } catch (const asyncio::gaierror& error) {
            EXPECT_NE(std::string(error.what()).find(name), std::string::npos);
            EXPECT_EQ(error.code().category(), asyncio::gaierror::category());
            return error.code().value();
        }
        return 0;
    };
    EXPECT_EQ(code_of("missing.test"), EAI_NONAME);
    EXPECT_EQ(code_of("again.test"), EAI_AGAIN);
    EXPECT_THROW(loop->run_until_complete(look_up(std::string("a\0b", 3), std::uint16_t{1})),
                 asyncio::ValueError);
}

TEST_F(Names, equal_questions_at_the_same_time_are_asked_once) {
    const auto first = look_up(std::string("slow.test"), std::uint16_t{1}, stream);
    const auto second = look_up(std::string("slow.test"), std::uint16_t{1}, stream);
    const auto other = look_up(std::string("slow.test"), std::uint16_t{2}, stream);
    run_until_waiting(2);
    first.cancel();
    iterate(2);
    EXPECT_TRUE(first.cancelled());
    NameScript::release_slow_names();
    EXPECT_EQ(loop->run_until_complete(second)[0].address.port(), 1);
    EXPECT_EQ(loop->run_until_complete(other)[0].address.port(), 2);
    EXPECT_EQ(NameScript::asked().size(), 2U);
}

TEST_F(Names, nobody_waits_for_a_server_that_does_not_answer) {
    std::vector<asyncio::Task<AddressList>> tasks;
    for (int i = 0; i < 6; ++i) {
        tasks.push_back(look_up("slow" + std::to_string(i) + ".test", std::uint16_t{1}));
    }
    run_until_waiting(4);
    for (const auto& task : tasks) {
        task.cancel();
    }
    iterate(2);
    for (const auto& task : tasks) {
        EXPECT_TRUE(task.cancelled());
    }
    loop.reset();  // while the threads are inside getaddrinfo
    NameScript::release_slow_names();
    while (NameScript::waiting() > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(NameScript::asked().size(), 4U) << "what nobody wants any more is not asked";
}

TEST_F(Names, a_loop_may_close_while_a_name_is_looked_up) {
    auto pending = look_up(std::string("slow.test"), std::uint16_t{1});
    run_until_waiting(1);
    loop->close();
    EXPECT_EQ(take_reports().size(), 1U);  // the task was destroyed while pending
    pending = {};
}

TEST_F(Names, a_forked_child_looks_names_up_with_threads_of_its_own) {
    if (built_with_tsan) {
        GTEST_SKIP() << "ThreadSanitizer makes no threads in a child";
    }
    loop->run_until_complete(look_up(std::string("host.test"), std::uint16_t{1}));
    EXPECT_EXIT(
        {
            const auto found = asyncio::run(asyncio::getaddrinfo("other.test", 1));
            std::_Exit(found.empty() ? 1 : 0);
        },
        ::testing::ExitedWithCode(0), "");
}

TEST_F(Names, getnameinfo_gives_the_names_of_an_address) {
    const auto names = loop->run_until_complete(
        asyncio::getnameinfo(Address("127.0.0.1", 80), NI_NUMERICHOST | NI_NUMERICSERV));
    EXPECT_EQ(names.first, "127.0.0.1");
    EXPECT_EQ(names.second, "80");
}

}  // namespace
