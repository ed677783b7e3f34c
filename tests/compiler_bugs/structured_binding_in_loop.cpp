// A structured binding to the result of a co_await, in a loop. GCC 15 and newer take the
// values of another turn of the loop (GCC PR124584).

#include "mini_task.hpp"

#include <string>
#include <tuple>

MiniTask<std::tuple<int, std::string>> item(int n) {
    co_return std::tuple(n, std::string(static_cast<std::size_t>(n), 'x'));
}

MiniTask<int> caller() {
    int sum = 0;
    for (int n = 1; n <= 5; ++n) {
        auto [number, text] = co_await item(n);
        auto&& [again, same_text] = co_await item(n);
        sum += number * static_cast<int>(text.size());
        sum += again * static_cast<int>(same_text.size());
    }
    co_return sum;
}

int main() { expect("sum of squares, twice", caller().run(), 110); }
