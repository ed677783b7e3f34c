// A temporary lambda that captures an object by value, passed within a co_await expression.
// GCC 12.2 destroys the captured object twice.

#include "mini_task.hpp"

template <class Function>
MiniTask<int> call(Function function) {
    co_return function();
}

MiniTask<int> caller() {
    Counted object;
    int a = co_await call([object] { return 20 + Counted::alive * 0; });
    int b = co_await call([owned = Counted(object)]() { return 22; });
    co_return a + b;
}

int main() {
    expect("sum", caller().run(), 42);
    expect("objects left", Counted::alive, 0);
}
