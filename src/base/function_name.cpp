// Shortening of function signatures, as clang and GCC spell them.
#include "base/function_name.hpp"

namespace asyncio::inline v0 {
namespace detail {

namespace {

constexpr std::string_view anonymous = "(anonymous namespace)::";
constexpr std::string_view lambda_call = "(anonymous class)::operator()";

// The end of the name: the parenthesis that opens the parameters, outside of template arguments.
std::size_t parameters_begin(std::string_view text) {
    if (const std::size_t at = text.rfind(lambda_call); at != text.npos) {
        return at + lambda_call.size();  // behind the function that the lambda stands in
    }
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '(' && depth == 0) {
            if (text.substr(i).starts_with(anonymous)) {
                i += anonymous.size() - 1;
                continue;
            }
            if (text.substr(i).starts_with("()(")) {
                return i + 2;  // operator()
            }
            return i;
        }
        depth += c == '<' ? 1 : c == '>' ? -1 : 0;
    }
    return text.size();
}

// The start of the name: behind the last space outside of template arguments and parentheses.
std::size_t name_begin(std::string_view text) {
    int depth = 0;
    for (std::size_t i = text.size(); i > 0; --i) {
        const char c = text[i - 1];
        depth += c == '>' || c == ')' ? 1 : c == '<' || c == '(' ? -1 : 0;
        if (depth == 0 && (c == ' ' || c == '*' || c == '&')) {
            return i;
        }
    }
    return 0;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
        text.replace(at, from.size(), to);
        at += to.size();
    }
}

}  // namespace

std::string function_name(std::string_view signature) {
    const std::string_view text = signature.substr(0, parameters_begin(signature));
    std::string name(text.substr(name_begin(text)));
    replace_all(name, lambda_call, "<lambda>");
    replace_all(name, anonymous, "");
    return name.empty() ? std::string(signature) : name;
}

}  // namespace detail
}  // namespace asyncio::inline v0
