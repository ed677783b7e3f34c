// What programs compute with: values and exceptions, and the one spelling of them that is compared.
#pragma once

#include <asyncio/asyncio.hpp>

#include <nlohmann/json.hpp>

#include <exception>
#include <string>
#include <variant>
#include <vector>

// The exceptions of the language. They are in no namespace, because reports name their class.
class ScriptedError : public std::exception {
public:
    explicit ScriptedError(std::string text) : text_(std::move(text)) {}
    const char* what() const noexcept override { return text_.c_str(); }

private:
    std::string text_;
};
struct E1 : ScriptedError {
    using ScriptedError::ScriptedError;
};
struct E2 : ScriptedError {
    using ScriptedError::ScriptedError;
};
// Derives from E1, for handlers that catch by base class.
struct F1 : E1 {
    using E1::E1;
};

namespace conformance {

using Json = nlohmann::ordered_json;

// A JSON value of the program, an exception that became a value, or a list of values.
struct Value {
    Value() = default;
    explicit Value(Json json) : content(std::move(json)) {}
    explicit Value(std::exception_ptr error) : content(std::move(error)) {}
    explicit Value(std::vector<Value> items) : content(std::move(items)) {}

    std::variant<Json, std::exception_ptr, std::vector<Value>> content;
};

// What gather returns, with and without return_exceptions.
Value list_of(const std::vector<Value>& values);
Value list_of(const std::vector<asyncio::Outcome<Value>>& outcomes);

// Makes the exception that `raise` and `set_exception` name.
std::exception_ptr make_exception(const std::string& kind, const std::string& text);

// Whether a handler for `kind` catches it. Throws std::out_of_range for an unknown kind.
bool catches(const std::string& kind, const std::exception_ptr& error);

// JSON, and exceptions as calls: `[1, "x"]`, `E1(a)`, `TimeoutError()`, `Group[E1(a), E2(b)]`.
std::string show(const Json& json);
std::string show(const std::exception_ptr& error);
std::string show(const Value& value);

}  // namespace conformance
