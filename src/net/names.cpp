// Names: questions that are in flight, and the threads that ask them.
#include "net/names.hpp"

#include <asyncio/executors.hpp>

#include "io/native_address.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace asyncio::inline v0 {

namespace {

using AddressList = std::vector<AddressInfo>;

// One name server that does not answer holds a thread for seconds; four such names do not yet stop
// the fifth for longer than that. The system's resolver is no faster with more.
constexpr std::size_t threads_max = 4;

[[noreturn]] void throw_gaierror(int code, int os_error, const std::string& subject) {
    if (code == EAI_SYSTEM) {
        throw std::system_error(os_error, std::generic_category(), subject);
    }
    throw gaierror(code, subject);
}

AddressInfo to_info(const addrinfo& found) {
    detail::NativeAddress native;
    std::copy_n(reinterpret_cast<const char*>(found.ai_addr), found.ai_addrlen,
                reinterpret_cast<char*>(native.get()));
    native.length = found.ai_addrlen;
    return {.address = native.address(),
            .type = found.ai_socktype,
            .protocol = found.ai_protocol,
            .canonical_name = found.ai_canonname != nullptr ? found.ai_canonname : ""};
}

std::string describe(const std::string& host, const std::string& service) {
    return "getaddrinfo('" + host + "', '" + service + "')";
}

struct Answer {
    AddressList addresses{};
    int code = 0;
    int os_error = 0;
};

// Blocks, unless the flags say that everything is a number.
Answer ask(const std::string& host, const std::string& service, const AddressInfoOptions& options) {
    addrinfo hints{};
    hints.ai_family = detail::native_family(options.family);
    hints.ai_socktype = options.type;
    hints.ai_protocol = options.protocol;
    hints.ai_flags = options.flags;
    addrinfo* first = nullptr;
    const int code = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                   service.empty() ? nullptr : service.c_str(), &hints, &first);
    if (code != 0) {
        return {.code = code, .os_error = errno};
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(first, &::freeaddrinfo);
    Answer answer;
    for (const addrinfo* info = first; info != nullptr; info = info->ai_next) {
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6) {
            answer.addresses.push_back(to_info(*info));
        }
    }
    return answer;
}

bool is_address(const std::string& host) {
    Address ignored;
    return host.empty() || detail::NativeAddress::parse_ip(host, ignored);
}

bool is_number(const std::string& service) {
    return std::ranges::all_of(service, [](char c) { return c >= '0' && c <= '9'; });
}

// Throws if that is the answer.
const AddressList& addresses(const Answer& answer, const std::string& subject) {
    if (answer.code != 0) {
        throw_gaierror(answer.code, answer.os_error, subject);
    }
    return answer.addresses;
}

// One question that is asked once, for all who have it.
struct Question {
    std::string key;
    std::string subject;  // for the texts of errors
    ThreadFuture<Answer> answer;
    std::size_t waiting = 0;  // guarded by the mutex of Names
};

// The questions that are in flight, and the threads.
//
// Invariant: `questions_` has every question that waits for a thread or is with one. It leaves when
// the thread has the answer, or when it was cancelled before that.
//
// Lives as long as the process: no thread is waited for. Thread safety: any thread.
class Names {
public:
    static Names& instance() {
        [[maybe_unused]] static const int registered =
            ::pthread_atfork(nullptr, nullptr, [] { current().store(nullptr); });
        Names* names = current().load(std::memory_order_acquire);
        if (names == nullptr) {
            auto made = std::make_unique<Names>();
            if (current().compare_exchange_strong(names, made.get())) {
                names = made.release();
            }
        }
        return *names;
    }

    ThreadPoolExecutor& pool() noexcept { return pool_; }

    std::shared_ptr<Question> join(const std::string& host, const std::string& service,
                                   const AddressInfoOptions& options) {
        std::string key = host + '\0' + service;
        for (const int number :
             {static_cast<int>(options.family), options.type, options.protocol, options.flags}) {
            key += '\0' + std::to_string(number);
        }
        const std::lock_guard lock(mutex_);
        auto& question = questions_[key];
        if (question == nullptr) {
            try {
                question = std::make_shared<Question>();
                question->answer = pool_.submit([this, key, host, service, options] {
                    const Forget forget{*this, key};
                    return ask(host, service, options);
                });
                question->key = key;
                question->subject = describe(host, service);
            } catch (...) {
                questions_.erase(key);
                throw;
            }
        }
        ++question->waiting;
        return question;
    }

    void leave(Question& question) noexcept {
        const std::lock_guard lock(mutex_);
        if (--question.waiting == 0 && !question.answer.done() && question.answer.cancel()) {
            questions_.erase(question.key);
        }
    }

private:
    struct Forget {
        Names& names;
        const std::string& key;
        ~Forget() {
            const std::lock_guard lock(names.mutex_);
            names.questions_.erase(key);
        }
    };

    // A forked child has none of its parent's threads, so it makes others.
    static std::atomic<Names*>& current() noexcept {
        static constinit std::atomic<Names*> the_names{nullptr};
        return the_names;
    }

    std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<Question>> questions_;
    ThreadPoolExecutor pool_{
        ThreadPoolOptions{.max_workers = threads_max, .thread_name_prefix = "asyncio-dns"}};
};

// One of those who wait for an answer.
class NameFuture final : public detail::FutureStateOf<AddressList, detail::WrappedFuture> {
public:
    NameFuture(EventLoop& loop, std::shared_ptr<Question> question)
        : FutureStateOf(loop, detail::FutureKind::future, {}), question_(std::move(question)) {}
    ~NameFuture() override { leave(); }

private:
    void take_value(detail::ThreadFutureState& source) override {
        source.check_result();
        emplace(addresses(static_cast<detail::ThreadFutureStateOf<Answer>&>(source).value,
                          question_->subject));
    }
    void abandon(detail::ThreadFutureState&) noexcept override { leave(); }
    void leave() noexcept {
        if (const auto question = std::exchange(question_, nullptr)) {
            Names::instance().leave(*question);
        }
    }

    std::shared_ptr<Question> question_;
};

class GaiCategory final : public std::error_category {
    const char* name() const noexcept override { return "getaddrinfo"; }
    std::string message(int code) const override { return ::gai_strerror(code); }
};

}  // namespace

gaierror::~gaierror() = default;

const std::error_category& gaierror::category() noexcept {
    static const GaiCategory the_category;
    return the_category;
}

Future<AddressList> detail::look_up(EventLoop& loop, const std::string& host,
                                    const std::string& service, const AddressInfoOptions& options) {
    if (host.find('\0') != host.npos || service.find('\0') != service.npos) {
        throw ValueError("the names of hosts and services have no zero bytes");
    }
    auto question = Names::instance().join(host, service, options);
    auto* state = new NameFuture(loop, question);
    Future<AddressList> future = HandleAccess::make<Future<AddressList>>(state);
    state->begin(ThreadFutureAccess::state(question->answer));
    return future;
}

Coro<AddressList> getaddrinfo(std::string host, std::string service, AddressInfoOptions options) {
    if (is_address(host) && is_number(service)) {
        options.flags |= AI_NUMERICHOST | AI_NUMERICSERV;
        co_return addresses(ask(host, service, options), describe(host, service));
    }
    co_return co_await detail::look_up(get_running_loop(), host, service, options);
}

Coro<std::pair<std::string, std::string>> getnameinfo(Address address, int flags) {
    co_return co_await run_in_executor(
        Names::instance().pool(), [address = std::move(address), flags] {
            detail::NativeAddress native(address);
            char host[NI_MAXHOST] = "";
            char service[NI_MAXSERV] = "";
            const int code = ::getnameinfo(native.get(), native.length, host, sizeof host, service,
                                           sizeof service, flags);
            if (code != 0) {
                throw_gaierror(code, errno, "getnameinfo(" + address.str() + ")");
            }
            return std::pair<std::string, std::string>(host, service);
        });
}

}  // namespace asyncio::inline v0
