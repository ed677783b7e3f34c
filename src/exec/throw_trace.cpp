// What the C++ runtime asks of a catch clause's type, and how the answer is used.
#include "exec/throw_trace.hpp"

#include "base/exception_type.hpp"
#include "base/function_name.hpp"
#include "exec/symbols.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <array>
#include <typeinfo>
#include <unordered_map>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Deeper stacks lose their outer end.
constexpr std::size_t frames_max = 64;

struct Frames {
    std::array<const char*, frames_max> callers;
    std::size_t count = 0;
};
thread_local Frames last_throw;

#ifdef __GLIBCXX__

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void*) {
    const auto address = _Unwind_GetIP(context);
    if (address == 0 || last_throw.count == frames_max) {
        return _URC_END_OF_STACK;
    }
    // A call's return address is behind it, and may be that of the next function.
    last_throw.callers[last_throw.count++] = reinterpret_cast<const char*>(address) - 1;
    return _URC_NO_REASON;
}

#endif

// Looking a name up reads a file, and the same calls fail again and again. Only the thread that
// answers for a process of a pool asks.
const std::string& known_symbol(const char* address) {
    constexpr std::size_t names_max = 1024;
    static auto& names = *new std::unordered_map<const char*, std::string>;
    if (names.size() == names_max) {
        names.clear();
    }
    const auto [place, is_new] = names.try_emplace(address);
    if (is_new) {
        place->second = symbol_at(address);
    }
    return place->second;
}

bool throws(const std::string& symbol) {
    // Sanitizers put words of theirs in front.
    return symbol.ends_with("__cxa_throw") || symbol.ends_with("__cxa_rethrow") ||
           symbol == "_ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE";
}

// std::invoke and the like, and the lambda which is called by that.
bool only_calls(const std::string& symbol) {
    return symbol.starts_with("_ZSt") || symbol.find("call_remotely") != std::string::npos;
}

}  // namespace

#ifdef __GLIBCXX__

class ObserverType final : public abi::__class_type_info {
public:
    using abi::__class_type_info::__class_type_info;
    bool __do_catch(const std::type_info*, void**, unsigned) const override {
        last_throw.count = 0;
        _Unwind_Backtrace(&note_frame, nullptr);
        return false;
    }
};

// The description of ThrowObserver, which the compiler looks for under this name.
extern const ObserverType throw_observer_type __asm__("_ZTIN7asyncio2v06detail13ThrowObserverE");
const ObserverType throw_observer_type("N7asyncio2v06detail13ThrowObserverE");

#endif

std::vector<std::string> throw_trace(const void* outermost) {
    std::vector<std::string> symbols;
    for (std::size_t i = 0; i < last_throw.count; ++i) {
        const char* const address = last_throw.callers[i];
        if (_Unwind_FindEnclosingFunction(const_cast<char*>(address)) == outermost) {
            break;
        }
        symbols.push_back(known_symbol(address));
        if (throws(symbols.back())) {
            symbols.clear();
        }
    }
    while (!symbols.empty() && only_calls(symbols.back())) {
        symbols.pop_back();
    }
    for (std::string& symbol : symbols) {
        symbol = function_name(demangle(symbol.c_str()));
    }
    return symbols;
}

}  // namespace detail
}  // namespace asyncio::inline v0
