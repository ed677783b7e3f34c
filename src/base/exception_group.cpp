// Exception groups: construction, and taking them apart. Follows CPython's Objects/exceptions.c,
// BaseExceptionGroup.
#include <asyncio/exception_group.hpp>

#include <algorithm>

namespace asyncio::inline v0 {

struct BaseExceptionGroup::Data {
    std::string message;
    std::vector<std::exception_ptr> exceptions;
    std::string what;
};

namespace {

bool is_standard(const std::exception_ptr& exception) noexcept {
    return is_exception<std::exception>(exception);
}

std::string count_text(std::size_t count) {
    return " (" + std::to_string(count) + (count == 1 ? " sub-exception)" : " sub-exceptions)");
}

// Null if it is no group.
const BaseExceptionGroup* as_group(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const BaseExceptionGroup& group) {
        return &group;  // it lives as long as the pointer that was rethrown
    } catch (...) {
        return nullptr;
    }
}

}  // namespace

BaseExceptionGroup::BaseExceptionGroup(std::string message,
                                       std::vector<std::exception_ptr> exceptions) {
    if (exceptions.empty()) {
        throw ValueError("an exception group needs at least one exception");
    }
    if (std::find(exceptions.begin(), exceptions.end(), nullptr) != exceptions.end()) {
        throw ValueError("an exception group cannot hold a null std::exception_ptr");
    }
    std::string what = message + count_text(exceptions.size());
    data_ = std::make_shared<const Data>(
        Data{std::move(message), std::move(exceptions), std::move(what)});
}

BaseExceptionGroup::~BaseExceptionGroup() = default;

const std::string& BaseExceptionGroup::message() const noexcept { return data_->message; }

const std::vector<std::exception_ptr>& BaseExceptionGroup::exceptions() const noexcept {
    return data_->exceptions;
}

const char* BaseExceptionGroup::what() const noexcept { return data_->what.c_str(); }

std::exception_ptr BaseExceptionGroup::itself() const { return std::make_exception_ptr(*this); }

std::exception_ptr BaseExceptionGroup::derive(std::vector<std::exception_ptr> exceptions) const {
    return exceptions.empty() ? nullptr : make_exception_group(message(), std::move(exceptions));
}

std::vector<std::exception_ptr> BaseExceptionGroup::leaves() const {
    std::vector<std::exception_ptr> found;
    // The groups that are being walked, outermost first: they may be nested as deep as tasks.
    struct Position {
        const std::vector<std::exception_ptr>& members;
        std::size_t next = 0;
    };
    std::vector<Position> path;
    path.push_back({exceptions()});
    while (!path.empty()) {
        Position& position = path.back();
        if (position.next == position.members.size()) {
            path.pop_back();
            continue;
        }
        const std::exception_ptr& member = position.members[position.next++];
        if (const BaseExceptionGroup* const group = as_group(member)) {
            path.push_back({group->exceptions()});
        } else {
            found.push_back(member);
        }
    }
    return found;
}

std::exception_ptr BaseExceptionGroup::subgroup(const Predicate& matches) const {
    return split(matches).matching;
}

BaseExceptionGroup::Split BaseExceptionGroup::split(const Predicate& matches) const {
    if (std::exception_ptr whole = itself(); matches(whole)) {
        return {std::move(whole), nullptr};
    }
    return split_members(matches);
}

BaseExceptionGroup::Split BaseExceptionGroup::split_members(const Predicate& matches) const {
    std::vector<std::exception_ptr> matching;
    std::vector<std::exception_ptr> rest;
    for (const std::exception_ptr& member : exceptions()) {
        if (matches(member)) {
            matching.push_back(member);
        } else if (const BaseExceptionGroup* const group = as_group(member)) {
            Split inner = group->split_members(matches);
            if (inner.matching != nullptr) {
                matching.push_back(std::move(inner.matching));
            }
            if (inner.rest != nullptr) {
                rest.push_back(std::move(inner.rest));
            }
        } else {
            rest.push_back(member);
        }
    }
    return {derive(std::move(matching)), derive(std::move(rest))};
}

ExceptionGroup::ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions)
    : ExceptionGroup(BaseExceptionGroup(std::move(message), std::move(exceptions))) {
    const auto& members = this->exceptions();
    if (!std::all_of(members.begin(), members.end(), is_standard)) {
        throw TypeError("Cannot nest BaseExceptions in an ExceptionGroup: a member is no "
                        "std::exception; use make_exception_group()");
    }
}

ExceptionGroup::ExceptionGroup(const BaseExceptionGroup& checked)
    : BaseExceptionGroup(checked), Error(checked.what()) {}

ExceptionGroup::~ExceptionGroup() = default;

const char* ExceptionGroup::what() const noexcept { return BaseExceptionGroup::what(); }

std::exception_ptr ExceptionGroup::itself() const { return std::make_exception_ptr(*this); }

std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions) {
    const BaseExceptionGroup group(std::move(message), std::move(exceptions));
    const auto& members = group.exceptions();
    return std::all_of(members.begin(), members.end(), is_standard)
               ? std::make_exception_ptr(ExceptionGroup(group))
               : std::make_exception_ptr(group);
}

namespace detail {

void except_star(const std::exception_ptr& exception,
                 const std::vector<ExceptStarClause>& clauses) {
    if (exception == nullptr) {
        throw RuntimeError("except_star() is to be called in a handler, where it finds the "
                           "exception that was caught");
    }
    const BaseExceptionGroup* const group = as_group(exception);
    const auto leaves = group != nullptr ? group->leaves() : std::vector{exception};
    enum class State : std::uint8_t { unhandled, handled, thrown_again };
    std::vector<State> states(leaves.size(), State::unhandled);
    std::vector<std::exception_ptr> raised;
    for (const ExceptStarClause& clause : clauses) {
        for (std::size_t i = 0; i < leaves.size(); ++i) {
            if (states[i] != State::unhandled || !clause.matches(leaves[i])) {
                continue;
            }
            states[i] = State::handled;
            try {
                clause.handle(leaves[i]);
            } catch (...) {
                if (std::current_exception() == leaves[i]) {
                    states[i] = State::thrown_again;
                } else {
                    raised.push_back(std::current_exception());
                }
            }
        }
    }
    std::exception_ptr rest = exception;
    if (std::find(states.begin(), states.end(), State::handled) != states.end()) {
        // The leaves come in the same order again.
        auto state = states.begin();
        rest = group == nullptr ? nullptr : group->subgroup([&](const std::exception_ptr& member) {
            return as_group(member) == nullptr && *state++ != State::handled;
        });
    }
    if (!raised.empty()) {
        if (rest != nullptr) {
            raised.push_back(rest);
        }
        rest = make_exception_group("", std::move(raised));
    }
    if (rest != nullptr) {
        std::rethrow_exception(rest);
    }
}

}  // namespace detail
}  // namespace asyncio::inline v0
