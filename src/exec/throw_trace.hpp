// Which functions an exception came through, from its throw to a catch clause.
#pragma once

#include <string>
#include <vector>

namespace asyncio::inline v0 {
namespace detail {

/// Never thrown. A clause for it, before the others of a try, notes the way of what is thrown:
///
///     } catch (const ThrowObserver&) {
///         std::terminate();  // it cannot come here
///     } catch (...) { ... throw_trace(...) ... }
///
/// An exception looks for its handler before it unwinds the stack, and asks each clause's type on
/// the way. This one's answer is no, but by then it has seen the stack. That is how GCC's library
/// does it; with another one nothing is noted.
class ThrowObserver {
protected:
    ~ThrowObserver() = default;

private:
    virtual void key();  // defined nowhere, so that the type's description can be ours
};

/// The names of the functions that the last exception which came to an observer of this thread went
/// through: first the one that threw it, and so on to the one that `outermost` called. Those of the
/// C++ runtime are left out. What has no name in its file's symbols is shown as "file+0x1234".
///
/// Cost: reads the symbols of the files which the functions are in.
std::vector<std::string> throw_trace(const void* outermost);

}  // namespace detail
}  // namespace asyncio::inline v0
