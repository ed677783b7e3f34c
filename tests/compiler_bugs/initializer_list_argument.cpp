// A braced list of strings or pairs as an argument within a co_await expression, as HTTP
// headers are written. GCC 12.2 stops with "array used as initializer".

#include "mini_task.hpp"

#include <map>
#include <string>
#include <vector>

MiniTask<int> count_names(std::vector<std::string> names) {
    co_return static_cast<int>(names.size());
}

MiniTask<int> count_headers(std::map<std::string, std::string> headers) {
    co_return static_cast<int>(headers.size());
}

MiniTask<int> caller() {
    int names = co_await count_names({"accept", "content-type", "host"});
    int headers = co_await count_headers({{"accept", "text/plain"}, {"host", "localhost"}});
    co_return names * 10 + headers;
}

int main() { expect("names and headers", caller().run(), 32); }
