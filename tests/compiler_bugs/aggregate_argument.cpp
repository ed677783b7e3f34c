// A temporary aggregate with members that need destruction, passed within a co_await
// expression, by value and by reference. GCC 12.2 destroys the members twice.

#include "mini_task.hpp"

struct Request {
    Counted url;
    Counted method;
    int size = 0;
};

MiniTask<int> by_value(Request request) { co_return request.size; }

MiniTask<int> by_reference(const Request& request) { co_return request.size; }

MiniTask<int> caller() {
    Counted object;
    int a = co_await by_value(Request{.url = object, .method = {}, .size = 20});
    int b = co_await by_reference({.url = {}, .method = object, .size = 22});
    co_return a + b;
}

int main() {
    expect("sum", caller().run(), 42);
    expect("objects left", Counted::alive, 0);
}
