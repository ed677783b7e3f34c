// Names of files for the bodies of URLs. A URL is somebody else's text, so a name made from it must
// not lead out of its directory, hide itself, or be taken for an option.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace asyncio::cli {

// "http://example.org/a/b.html?x=1" gives "example.org_a_b.html_x=1".
//
// The result is never empty and has at most 200 bytes, all of them letters, digits or one of
// "._-=+,%~", the first a letter, a digit or '_'. Different URLs may get the same name.
std::string file_name_of(std::string_view url);

// Numbers names that were given out before: "a", "a.1", "a.2".
class NameBook {
public:
    // Returns a name that it has not returned before.
    std::string enter(const std::string& name);

private:
    // The number to try next for each name that was given out.
    std::unordered_map<std::string, unsigned> names_;
};

}  // namespace asyncio::cli
