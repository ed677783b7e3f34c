// An await in the condition of the first statement, in a function without local variables.
// GCC 12.2 skips the body at the first resumption and crashes at the second (GCC PR106188).

#include "mini_task.hpp"

MiniTask<bool> yes() { co_return true; }

int steps = 0;

MiniTask<int> condition() {
    if (co_await yes()) {
        ++steps;
    }
    while (!co_await yes()) {
        steps += 100;
    }
    switch (co_await yes()) {
    case true:
        ++steps;
        break;
    default:
        break;
    }
    co_return steps;
}

int main() {
    expect("steps in coroutines", condition().run(), 2);
    expect("steps taken", steps, 2);
}
