// Sockets, the timer and finished transfers of a multi handle.
#include "http/multi.hpp"

#include <asyncio/exceptions.hpp>

#include "http/transfer.hpp"

#include <algorithm>
#include <new>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// Handles are kept to be used again, which saves their set-up; more than this only hold memory.
constexpr std::size_t idle_max = 128;

// libcurl is process-wide state; its start is thread safe and it is never ended.
void start_curl() {
    static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) {
        throw RuntimeError(std::string("libcurl cannot be started: ") + curl_easy_strerror(code));
    }
}

}  // namespace

// ---- one direction of one socket

void Multi::Watch::run(Runnable& self, Turn turn) noexcept {
    auto& watch = static_cast<Watch&>(self);
    if (turn == Turn::run) {
        watch.multi_.act(watch.fd(), watch.direction() == IoDirection::read ? CURL_CSELECT_IN
                                                                            : CURL_CSELECT_OUT);
    }
}

void Multi::Watch::want(bool wanted) {
    if (wanted == active_) {
        return;
    }
    Poller& poller = multi_.loop_.poller();
    if (wanted) {
        poller.start(*this);
    } else {
        poller.cancel(*this);
    }
    active_ = wanted;
}

Multi::Multi(EventLoop& loop, std::size_t connections_max, std::size_t connections_per_host_max)
    : loop_(loop) {
    start_curl();
    multi_ = curl_multi_init();
    if (multi_ == nullptr) {
        throw std::bad_alloc();
    }
    const auto as_long = [](std::size_t n) { return static_cast<long>(std::min(n, 1ul << 30)); };
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Multi::socket_callback);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Multi::timer_callback);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, as_long(connections_max));
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, as_long(connections_max));
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, as_long(connections_per_host_max));
}

void Multi::close() noexcept {
    if (multi_ == nullptr) {
        return;
    }
    if (inside_) {
        close_when_settled_ = true;
        return;
    }
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, nullptr);
    timer_.cancel();
    curl_multi_cleanup(std::exchange(multi_, nullptr));
    idle_.clear();
    for (auto& [fd, socket] : sockets_) {
        socket.reading.want(false);
        socket.writing.want(false);
    }
    sockets_.clear();
}

// ---- what libcurl wants

int Multi::socket_callback(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
    auto& multi = *static_cast<Multi*>(self);
    try {
        multi.watch(fd, what);
    } catch (...) {
        multi.callback_error_ = std::current_exception();
    }
    return 0;
}

void Multi::watch(int fd, int what) {
    Socket& socket = sockets_.try_emplace(fd, *this, fd).first->second;
    socket.reading.want(what == CURL_POLL_IN || what == CURL_POLL_INOUT);
    socket.writing.want(what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
}

int Multi::timer_callback(CURLM*, long delay_ms, void* self) noexcept {
    auto& multi = *static_cast<Multi*>(self);
    try {
        multi.set_timer(delay_ms);
    } catch (...) {
        multi.callback_error_ = std::current_exception();
    }
    return 0;
}

void Multi::set_timer(long delay_ms) {
    timer_.cancel();
    timer_ = {};
    const auto expire = [this]() noexcept { act(CURL_SOCKET_TIMEOUT, 0); };
    if (delay_ms == 0) {
        timer_ = loop_.call_soon(expire);
    } else if (delay_ms > 0) {
        timer_ = loop_.call_later(std::chrono::milliseconds(delay_ms), expire);
    }
}

// ---- what libcurl is told

void Multi::act(curl_socket_t fd, int events) noexcept {
    int running = 0;
    inside_ = true;
    const CURLMcode code = curl_multi_socket_action(multi_, fd, events, &running);
    inside_ = false;
    if (code != CURLM_OK && callback_error_ == nullptr) {
        callback_error_ = std::make_exception_ptr(
            RuntimeError(std::string("libcurl failed: ") + curl_multi_strerror(code)));
    }
    settle();
}

void Multi::settle() noexcept {
    for (Easy& easy : removed_) {
        curl_multi_remove_handle(multi_, easy.get());
    }
    removed_.clear();
    collect();
    while (!starting_.empty()) {
        Transfer* const transfer = starting_.back();
        starting_.pop_back();
        start(*transfer);
    }
    check_callbacks();
    if (close_when_settled_) {
        close();
    }
}

void Multi::collect() noexcept {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
        CURL* const easy = message->easy_handle;
        const CURLcode code = message->data.result;
        curl_multi_remove_handle(multi_, easy);
        Transfer& transfer = Transfer::of(easy);
        forget(transfer);
        transfer.complete(code);
    }
}

void Multi::check_callbacks() noexcept {
    if (callback_error_ == nullptr) {
        return;
    }
    const std::exception_ptr error = std::exchange(callback_error_, nullptr);
    while (!transfers_.empty()) {
        Transfer& transfer = transfers_.front();
        curl_multi_remove_handle(multi_, transfer.easy());
        forget(transfer);
        transfer.fail(error);
    }
}

// ---- transfers

Easy Multi::take_easy() {
    if (!idle_.empty()) {
        Easy easy = std::move(idle_.back());
        idle_.pop_back();
        return easy;
    }
    Easy easy(curl_easy_init());
    if (easy == nullptr) {
        throw std::bad_alloc();
    }
    return easy;
}

void Multi::give_back(Easy easy) noexcept {
    if (multi_ == nullptr || idle_.size() >= idle_max) {
        return;
    }
    curl_easy_reset(easy.get());
    try {
        idle_.push_back(std::move(easy));
    } catch (...) {  // NOLINT(bugprone-empty-catch)
        // Without memory to keep it in, the handle goes.
    }
}

void Multi::add(Transfer& transfer) noexcept {
    transfers_.push_back(transfer);
    loop_.external_work_started();
    if (!inside_) {
        start(transfer);
        check_callbacks();
        return;
    }
    try {
        starting_.push_back(&transfer);
    } catch (...) {
        forget(transfer);
        transfer.fail(std::current_exception());
    }
}

void Multi::start(Transfer& transfer) noexcept {
    const CURLMcode code = curl_multi_add_handle(multi_, transfer.easy());
    if (code != CURLM_OK) {
        forget(transfer);
        transfer.complete(code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT);
    }
}

void Multi::remove(Transfer& transfer) noexcept {
    forget(transfer);
    std::erase(starting_, &transfer);
    if (inside_) {
        removed_.push_back(transfer.release_easy());
    } else {
        curl_multi_remove_handle(multi_, transfer.easy());
    }
}

void Multi::forget(Transfer& transfer) noexcept {
    transfer.unlink();
    loop_.external_work_finished();
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
