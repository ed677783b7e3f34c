// The threads that look names up, and the lines of those who wait for them.
#include "http/resolver.hpp"

#include <asyncio/http.hpp>

#include "http/error.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>

namespace asyncio::inline v0 {
namespace http {
namespace detail {

namespace {

// One name server that does not answer holds a thread for seconds; four such names do not yet stop
// the fifth for longer than that. The system's resolver is no faster with more.
constexpr std::size_t threads_max = 4;
// A name may have hundreds of addresses; nobody tries more than a few.
constexpr std::size_t addresses_max = 16;
// Bounds the memory of a program that visits ever new names.
constexpr std::size_t names_max = 1024;

std::string to_text(const addrinfo& info) {
    char text[INET6_ADDRSTRLEN] = "";
    if (info.ai_family == AF_INET) {
        const auto& address = *reinterpret_cast<const sockaddr_in*>(info.ai_addr);
        ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
        return text;
    }
    if (info.ai_family == AF_INET6) {
        const auto& address = *reinterpret_cast<const sockaddr_in6*>(info.ai_addr);
        ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
        return "[" + std::string(text) + "]";
    }
    return {};
}

std::string joined(const addrinfo* info) {
    std::string addresses;
    for (std::size_t count = 0; info != nullptr && count < addresses_max; info = info->ai_next) {
        const std::string text = to_text(*info);
        if (!text.empty()) {
            addresses += addresses.empty() ? text : "," + text;
            ++count;
        }
    }
    return addresses;
}

}  // namespace

struct Resolver::Name {
    explicit Name(std::string name) : text(std::move(name)) {}

    void look_up() noexcept;

    // Constant after construction.
    const std::string text;

    // Belongs to the thread that looks it up until that hands it back; then to the loop's thread.
    std::string addresses;
    int code = 0;
    int os_error = 0;

    // Guarded by Pool::mutex: a job that nobody wants any more is skipped, unless it has begun.
    bool begun = false;
    bool abandoned = false;

    // Loop thread only.
    asyncio::detail::IntrusiveList<Lookup> line;
    bool known = false;
    TimePoint expires;
};

struct Resolver::Pool : std::enable_shared_from_this<Pool> {
    void submit(const std::shared_ptr<Name>& name);
    void start_thread();
    void run() noexcept;
    void hand_back(const std::shared_ptr<Name>& name) noexcept;

    std::mutex mutex;

    // Guarded by mutex.
    std::condition_variable changed;
    std::deque<std::shared_ptr<Name>> queue;
    EventLoop* loop = nullptr;  // null once closed
    std::size_t threads = 0;
    std::size_t idle = 0;

    // Loop thread only.
    Resolver* owner = nullptr;
};

// ---- in the threads

void Resolver::Name::look_up() noexcept {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    code = ::getaddrinfo(text.c_str(), nullptr, &hints, &found);
    os_error = errno;
    if (code != 0) {
        return;
    }
    try {
        addresses = joined(found);
        code = addresses.empty() ? EAI_NONAME : 0;
    } catch (...) {
        code = EAI_MEMORY;
    }
    ::freeaddrinfo(found);
}

void Resolver::Pool::run() noexcept {
    std::unique_lock lock(mutex);
    while (true) {
        ++idle;
        changed.wait(lock, [this] { return loop == nullptr || !queue.empty(); });
        --idle;
        if (loop == nullptr) {
            return;
        }
        const std::shared_ptr<Name> name = std::move(queue.front());
        queue.pop_front();
        if (name->abandoned) {
            continue;
        }
        name->begun = true;
        lock.unlock();
        name->look_up();
        lock.lock();
        hand_back(name);
    }
}

void Resolver::Pool::hand_back(const std::shared_ptr<Name>& name) noexcept {
    if (loop == nullptr) {
        return;
    }
    try {
        loop->call_soon_threadsafe([pool = shared_from_this(), name]() noexcept {
            if (pool->owner != nullptr) {
                pool->owner->finished(name);
            }
        });
    } catch (...) {  // NOLINT(bugprone-empty-catch)
        // Out of memory: those who wait run into their deadline.
    }
}

// ---- in the loop's thread

void Resolver::Pool::start_thread() {
    // Signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread thread([self = shared_from_this()] { self->run(); });
        ::pthread_setname_np(thread.native_handle(), "asyncio-dns");
        thread.detach();
        ++threads;
    } catch (...) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Resolver::Pool::submit(const std::shared_ptr<Name>& name) {
    const std::lock_guard lock(mutex);
    if (queue.size() >= idle && threads < threads_max) {
        try {
            start_thread();
        } catch (...) {
            if (threads == 0) {
                throw;
            }
        }
    }
    queue.push_back(name);
    changed.notify_one();
}

Resolver::Resolver(EventLoop& loop, Duration ttl)
    : loop_(loop), ttl_(ttl), pool_(std::make_shared<Pool>()) {
    pool_->loop = &loop;
    pool_->owner = this;
}

void Resolver::close() noexcept {
    pool_->owner = nullptr;
    {
        const std::lock_guard lock(pool_->mutex);
        pool_->loop = nullptr;
        pool_->queue.clear();
        pool_->changed.notify_all();
    }
    for (const auto& [text, name] : names_) {
        if (!name->known) {
            loop_.external_work_finished();
        }
    }
    names_.clear();
}

bool Resolver::remembers(Lookup& lookup) {
    const auto found = names_.find(lookup.name_);
    if (found == names_.end() || !found->second->known) {
        return false;
    }
    if (found->second->expires <= loop_.time()) {
        names_.erase(found);
        return false;
    }
    lookup.entry_ = found->second;
    return true;
}

void Resolver::join(Lookup& lookup) {
    const auto found = names_.find(lookup.name_);
    if (found != names_.end()) {
        lookup.entry_ = found->second;
    } else {
        make_room();
        auto name = std::make_shared<Name>(lookup.name_);
        const auto place = names_.emplace(lookup.name_, name).first;
        try {
            pool_->submit(name);
        } catch (...) {
            names_.erase(place);
            throw;
        }
        loop_.external_work_started();
        lookup.entry_ = std::move(name);
    }
    lookup.entry_->line.push_back(lookup);
}

void Resolver::make_room() {
    if (names_.size() < names_max) {
        return;
    }
    const TimePoint now = loop_.time();
    std::erase_if(names_, [now](const auto& entry) {
        return entry.second->known && entry.second->expires <= now;
    });
    if (names_.size() >= names_max) {
        std::erase_if(names_, [](const auto& entry) { return entry.second->known; });
    }
}

void Resolver::abandon(Name& name) noexcept {
    {
        const std::lock_guard lock(pool_->mutex);
        if (name.begun) {
            return;
        }
        name.abandoned = true;
    }
    loop_.external_work_finished();
    names_.erase(names_.find(name.text));
}

void Resolver::finished(const std::shared_ptr<Name>& name) noexcept {
    loop_.external_work_finished();
    name->known = true;
    name->expires = loop_.time() + ttl_;
    while (!name->line.empty()) {
        name->line.pop_front().finish();
    }
    if (name->code != 0 || ttl_ <= Duration::zero()) {
        names_.erase(names_.find(name->text));
    }
}

// ---- the awaiter

Resolver::Lookup::~Lookup() {
    if (!done()) {
        leave();
    }
}

void Resolver::Lookup::leave() noexcept {
    unlink();
    if (entry_->line.empty()) {
        resolver_.abandon(*entry_);
    }
}

std::string Resolver::Lookup::await_resume() {
    resumed();
    if (entry_->code != 0) {
        std::rethrow_exception(
            lookup_exception(exchange().url(), name_, entry_->code, entry_->os_error));
    }
    return entry_->addresses;
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
