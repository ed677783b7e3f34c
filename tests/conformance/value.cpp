// Values and exceptions, as in reference.py.
#include "value.hpp"

#include <functional>
#include <map>

namespace conformance {

namespace {

template <class Items>
std::string show_items(const Items& items) {
    std::string text = "[";
    const char* separator = "";
    for (const auto& item : items) {
        text += separator + show(item);
        separator = ", ";
    }
    return text + "]";
}

std::string type_name(const std::exception_ptr& error) {
    const std::string description = asyncio::describe_exception(error);
    return description.substr(0, description.find(':'));
}

bool is_anything(const std::exception_ptr& error) noexcept { return error != nullptr; }

}  // namespace

Value list_of(const std::vector<Value>& values) { return Value(values); }

Value list_of(const std::vector<asyncio::Outcome<Value>>& outcomes) {
    std::vector<Value> values;
    for (const auto& outcome : outcomes) {
        values.push_back(outcome ? outcome.value() : Value(outcome.exception()));
    }
    return Value(std::move(values));
}

std::exception_ptr make_exception(const std::string& kind, const std::string& text) {
    if (kind == "E1") {
        return std::make_exception_ptr(E1(text));
    }
    if (kind == "E2") {
        return std::make_exception_ptr(E2(text));
    }
    if (kind == "F1") {
        return std::make_exception_ptr(F1(text));
    }
    if (kind == "CancelledError") {
        return std::make_exception_ptr(asyncio::CancelledError(text));
    }
    throw std::out_of_range("no exception is called " + kind);
}

bool catches(const std::string& kind, const std::exception_ptr& error) {
    using Matches = bool (*)(const std::exception_ptr&) noexcept;
    static const std::map<std::string, Matches> kinds = {
        {"E1", &asyncio::is_exception<E1>},
        {"E2", &asyncio::is_exception<E2>},
        {"F1", &asyncio::is_exception<F1>},
        {"Exception", &asyncio::is_exception<std::exception>},
        {"BaseException", &is_anything},
        {"CancelledError", &asyncio::is_exception<asyncio::CancelledError>},
        {"TimeoutError", &asyncio::is_exception<asyncio::TimeoutError>},
        {"ExceptionGroup", &asyncio::is_exception<asyncio::BaseExceptionGroup>},
        {"InvalidStateError", &asyncio::is_exception<asyncio::InvalidStateError>},
        {"QueueEmpty", &asyncio::is_exception<asyncio::QueueEmpty>},
        {"QueueFull", &asyncio::is_exception<asyncio::QueueFull>},
        {"QueueShutDown", &asyncio::is_exception<asyncio::QueueShutDown>},
        {"BrokenBarrierError", &asyncio::is_exception<asyncio::BrokenBarrierError>},
        {"RuntimeError", &asyncio::is_exception<asyncio::RuntimeError>},
    };
    return kinds.at(kind)(error);
}

std::string show(const Json& json) { return json.is_array() ? show_items(json) : json.dump(); }

std::string show(const std::exception_ptr& error) {
    if (error == nullptr) {
        return "null";
    }
    try {
        std::rethrow_exception(error);
    } catch (const asyncio::BaseExceptionGroup& group) {
        return "Group" + show_items(group.exceptions());
    } catch (const asyncio::CancelledError& cancelled) {
        return "CancelledError(" + cancelled.message() + ")";
    } catch (const F1& scripted) {
        return std::string("F1(") + scripted.what() + ")";
    } catch (const E1& scripted) {
        return std::string("E1(") + scripted.what() + ")";
    } catch (const E2& scripted) {
        return std::string("E2(") + scripted.what() + ")";
    } catch (...) {
        return type_name(error) + "()";
    }
}

std::string show(const Value& value) {
    if (const auto* const items = std::get_if<std::vector<Value>>(&value.content)) {
        return show_items(*items);
    }
    if (const auto* const error = std::get_if<std::exception_ptr>(&value.content)) {
        return show(*error);
    }
    return show(std::get<Json>(value.content));
}

}  // namespace conformance
