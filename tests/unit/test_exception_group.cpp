// Exception groups: which class they get, what they say, and how they are taken apart.
#include <asyncio/exception_group.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using asyncio::BaseExceptionGroup;
using asyncio::ExceptionGroup;

struct Odd : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct Even : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::exception_ptr odd(const char* text = "odd") { return std::make_exception_ptr(Odd(text)); }
std::exception_ptr even(const char* text = "even") { return std::make_exception_ptr(Even(text)); }
std::exception_ptr cancelled() { return std::make_exception_ptr(asyncio::CancelledError("stop")); }

// The shape of a group, for comparisons: `Group[a, Group[b]]`.
std::string shape(const std::exception_ptr& error) {
    if (error == nullptr) {
        return "null";
    }
    try {
        std::rethrow_exception(error);
    } catch (const BaseExceptionGroup& group) {
        std::string text = group.message() + "[";
        for (const std::exception_ptr& member : group.exceptions()) {
            text += (text.back() == '[' ? "" : ", ") + shape(member);
        }
        return text + "]";
    } catch (const std::exception& plain) {
        return plain.what();
    } catch (const asyncio::CancelledError&) {
        return "cancelled";
    }
}

std::exception_ptr nested() {
    return asyncio::make_exception_group(
        "outer",
        {odd("a"), asyncio::make_exception_group("inner", {even("b"), odd("c")}), even("d")});
}

template <class Use>
void with_group(const std::exception_ptr& error, Use use) {
    try {
        std::rethrow_exception(error);
    } catch (const BaseExceptionGroup& group) {
        use(group);
    }
}

TEST(ExceptionGroups, text_counts_the_members_as_python_does) {
    EXPECT_STREQ(ExceptionGroup("failed", {odd()}).what(), "failed (1 sub-exception)");
    EXPECT_STREQ(ExceptionGroup("failed", {odd(), even()}).what(), "failed (2 sub-exceptions)");
    EXPECT_EQ(ExceptionGroup("failed", {odd()}).message(), "failed");
}

TEST(ExceptionGroups, group_of_standard_exceptions_is_one_itself) {
    const std::exception_ptr error = asyncio::make_exception_group("failed", {odd(), even()});
    EXPECT_TRUE(asyncio::is_exception<ExceptionGroup>(error));
    EXPECT_TRUE(asyncio::is_exception<BaseExceptionGroup>(error));
    EXPECT_TRUE(asyncio::is_exception<asyncio::Error>(error));
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& standard) {
        EXPECT_STREQ(standard.what(), "failed (2 sub-exceptions)");
    }
}

TEST(ExceptionGroups, S136_a_member_that_is_no_standard_exception_makes_a_base_group) {
    const std::exception_ptr error = asyncio::make_exception_group("failed", {odd(), cancelled()});
    EXPECT_TRUE(asyncio::is_exception<BaseExceptionGroup>(error));
    EXPECT_FALSE(asyncio::is_exception<ExceptionGroup>(error));
    EXPECT_FALSE(asyncio::is_exception<std::exception>(error));
    const std::exception_ptr outer = asyncio::make_exception_group("outer", {odd(), error});
    EXPECT_FALSE(asyncio::is_exception<std::exception>(outer));
}

TEST(ExceptionGroups, refuses_what_python_refuses) {
    EXPECT_THROW(BaseExceptionGroup("empty", {}), asyncio::ValueError);
    EXPECT_THROW(ExceptionGroup("null", {odd(), nullptr}), asyncio::ValueError);
    EXPECT_THROW(ExceptionGroup("base", {odd(), cancelled()}), asyncio::TypeError);
    EXPECT_NO_THROW(BaseExceptionGroup("base", {odd(), cancelled()}));
}

TEST(ExceptionGroups, copies_share_their_members) {
    const ExceptionGroup group("failed", {odd()});
    const ExceptionGroup copy = group;  // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_EQ(&copy.exceptions(), &group.exceptions());
    EXPECT_STREQ(copy.what(), group.what());
}

TEST(ExceptionGroups, leaves_are_in_order_however_deep) {
    with_group(nested(), [](const BaseExceptionGroup& group) {
        std::string found;
        for (const std::exception_ptr& leaf : group.leaves()) {
            found += shape(leaf);
        }
        EXPECT_EQ(found, "abcd");
    });
}

TEST(ExceptionGroups, split_by_type_keeps_the_shape) {
    with_group(nested(), [](const BaseExceptionGroup& group) {
        const auto [odds, rest] = group.split<Odd>();
        EXPECT_EQ(shape(odds), "outer[a, inner[c]]");
        EXPECT_EQ(shape(rest), "outer[inner[b], d]");
    });
}

TEST(ExceptionGroups, split_of_everything_or_nothing_leaves_null) {
    with_group(nested(), [](const BaseExceptionGroup& group) {
        const auto [all, none] = group.split<std::exception>();
        EXPECT_EQ(shape(all), "outer[a, inner[b, c], d]");
        EXPECT_EQ(none, nullptr);
        const auto [nothing, rest] = group.split<asyncio::CancelledError>();
        EXPECT_EQ(nothing, nullptr);
        EXPECT_EQ(shape(rest), "outer[a, inner[b, c], d]");
        EXPECT_EQ(group.subgroup<asyncio::CancelledError>(), nullptr);
    });
}

TEST(ExceptionGroups, split_narrows_the_class_to_what_is_left) {
    const std::exception_ptr mixed = asyncio::make_exception_group("failed", {odd(), cancelled()});
    with_group(mixed, [](const BaseExceptionGroup& group) {
        const auto [odds, rest] = group.split<Odd>();
        EXPECT_TRUE(asyncio::is_exception<ExceptionGroup>(odds));
        EXPECT_FALSE(asyncio::is_exception<ExceptionGroup>(rest));
    });
}

TEST(ExceptionGroups, predicate_may_take_a_group_whole) {
    with_group(nested(), [](const BaseExceptionGroup& group) {
        const std::exception_ptr& inner = group.exceptions()[1];
        const std::exception_ptr found =
            group.subgroup([&inner](const std::exception_ptr& error) { return error == inner; });
        EXPECT_EQ(shape(found), "outer[inner[b, c]]");
        with_group(found, [&inner](const BaseExceptionGroup& narrowed) {
            EXPECT_EQ(narrowed.exceptions().front(), inner);
        });
    });
}

TEST(ExceptionGroups, members_are_the_very_same_exceptions) {
    const std::exception_ptr first = odd();
    const ExceptionGroup group("failed", {first, even()});
    with_group(group.subgroup<Odd>(), [&first](const BaseExceptionGroup& odds) {
        EXPECT_EQ(odds.exceptions().front(), first);
    });
}

TEST(ExceptionGroups, description_lists_the_members) {
    const std::exception_ptr error = asyncio::make_exception_group(
        "failed", {std::make_exception_ptr(asyncio::TimeoutError()), cancelled()});
    EXPECT_EQ(asyncio::describe_exception(error),
              "BaseExceptionGroup: failed (2 sub-exceptions) [TimeoutError: timed out, "
              "CancelledError: stop]");
}

// ---- except_star

// What except_star throws, as a shape.
template <class... Handlers>
std::string except_star(const std::exception_ptr& thrown, Handlers&&... handlers) {
    try {
        std::rethrow_exception(thrown);
    } catch (...) {
        try {
            asyncio::except_star(std::forward<Handlers>(handlers)...);
        } catch (...) {
            return shape(std::current_exception());
        }
    }
    return "nothing";
}

std::exception_ptr group(std::vector<std::exception_ptr> members, std::string message = "Group") {
    return asyncio::make_exception_group(std::move(message), std::move(members));
}

TEST(ExceptStar, each_handler_gets_its_exceptions_and_the_rest_is_thrown_in_shape) {
    std::string seen;
    const auto nested = group({odd("1"), group({even("2"), cancelled()}, "Inner"), odd("3")});
    EXPECT_EQ(except_star(nested, [&](const Odd& error) { seen += error.what(); }),
              "Group[Inner[2, cancelled]]");
    EXPECT_EQ(seen, "13");
    EXPECT_EQ(except_star(
                  nested, [&](const Even& error) { seen += error.what(); },
                  [&](const asyncio::CancelledError&) { seen += "c"; },
                  [&](const Odd& error) { seen += error.what(); }),
              "nothing");
    EXPECT_EQ(seen, "132c13");
}

TEST(ExceptStar, an_exception_goes_to_the_first_handler_that_takes_it) {
    std::string seen;
    EXPECT_EQ(except_star(
                  group({odd(), even()}), [&](const Odd&) { seen += "odd "; },
                  [&](const std::runtime_error& error) { seen += error.what(); },
                  [&](const std::exception&) { seen += "never"; }),
              "nothing");
    EXPECT_EQ(seen, "odd even");
}

TEST(ExceptStar, a_single_exception_is_handled_or_thrown_as_it_was) {
    std::string seen;
    EXPECT_EQ(except_star(odd(), [&](const Odd&) { seen += "odd"; }), "nothing");
    EXPECT_EQ(seen, "odd");
    const std::exception_ptr thrown = even();
    try {
        std::rethrow_exception(thrown);
    } catch (...) {
        try {
            asyncio::except_star([](const Odd&) {});
            ADD_FAILURE() << "it was lost";
        } catch (...) {
            EXPECT_EQ(std::current_exception(), thrown);
        }
    }
}

TEST(ExceptStar, what_nobody_takes_is_the_same_object) {
    const auto thrown = group({odd(), even()});
    try {
        std::rethrow_exception(thrown);
    } catch (...) {
        try {
            asyncio::except_star([](const asyncio::TimeoutError&) {});
            ADD_FAILURE() << "it was lost";
        } catch (...) {
            EXPECT_EQ(std::current_exception(), thrown);
        }
    }
}

TEST(ExceptStar, what_handlers_throw_comes_in_a_group_before_the_rest) {
    EXPECT_EQ(except_star(group({odd("1"), even("2"), odd("3")}),
                          [](const Odd& error) { throw Even("for " + std::string(error.what())); }),
              "[for 1, for 3, Group[2]]");
    EXPECT_EQ(except_star(odd(), [](const Odd&) { throw Even("instead"); }), "[instead]");
}

TEST(ExceptStar, a_handler_that_throws_its_exception_again_leaves_it_in_its_place) {
    EXPECT_EQ(except_star(group({odd("1"), even("2"), odd("3")}, "Outer"),
                          [](const Odd& error) {
                              if (std::string(error.what()) == "3") {
                                  throw;
                              }
                          }),
              "Outer[2, 3]");
}

TEST(ExceptStar, handlers_may_change_what_they_get_and_be_of_any_kind) {
    int count = 0;
    struct Counter {
        void operator()(const Odd&) noexcept { ++*count; }
        int* count;
    } counter{&count};
    EXPECT_EQ(except_star(group({odd(), odd()}), counter), "nothing");
    EXPECT_EQ(count, 2);
    EXPECT_EQ(except_star(odd(), [](Odd& error) { error = Odd("changed"); }), "nothing");
}

TEST(ExceptStar, outside_of_a_handler_it_is_refused) {
    EXPECT_THROW(asyncio::except_star([](const Odd&) {}), asyncio::RuntimeError);
}

}  // namespace
