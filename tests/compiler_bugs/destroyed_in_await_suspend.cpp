// A coroutine whose frame is destroyed while it suspends, as cancellation does. GCC 15.2
// touches the frame afterwards (GCC PR121961); GCC 12.2 destroys the temporary twice.

#include "mini_task.hpp"

struct DestroyFrame {
    Counted temporary;

    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> frame) noexcept { frame.destroy(); }
    void await_resume() noexcept {}
};

struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

bool resumed = false;

Detached vanish() {
    Counted local;
    co_await DestroyFrame{};
    resumed = true;
}

int main() {
    vanish();
    expect("resumed", resumed, false);
    expect("objects left", Counted::alive, 0);
}
