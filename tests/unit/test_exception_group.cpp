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

}  // namespace
