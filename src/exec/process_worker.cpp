// The loop of a pool's process: a message with calls comes, one with their results goes.
#include "exec/process_worker.hpp"

#include "exec/fork_count.hpp"
#include "exec/process_copy.hpp"
#include "exec/shared_buffer.hpp"
#include "exec/throw_trace.hpp"
#include "io/close_descriptors.hpp"
#include "io/system_call.hpp"
#include "io/time_slice.hpp"

#include <link.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <unordered_set>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// Whether the program had this when it was copied: a library that was loaded later is not there.
bool is_loaded(const void* object, std::size_t size) {
    struct Search {
        std::uintptr_t address;
        std::size_t size;
    } search{reinterpret_cast<std::uintptr_t>(object), size};
    const auto visit = [](dl_phdr_info* module, std::size_t, void* data) -> int {
        const Search& wanted = *static_cast<Search*>(data);
        for (int i = 0; i < module->dlpi_phnum; ++i) {
            const ElfW(Phdr)& part = module->dlpi_phdr[i];
            const std::uintptr_t begin = module->dlpi_addr + part.p_vaddr;
            if (part.p_type == PT_LOAD && wanted.address >= begin &&
                wanted.address + wanted.size <= begin + part.p_memsz) {
                return 1;
            }
        }
        return 0;
    };
    return ::dl_iterate_phdr(visit, &search) != 0;
}

// Called instead of one that is not there.
constexpr RemoteFunction missing{
    "a function", [](Reader&, Writer&) {
        throw RuntimeError(
            "the function is in a library that was loaded after the server of process pools was "
            "started: load it before, or call start_process_server() later");
    }};

// A function may fork, and its fork come back from it, by an exception for instance. What belongs
// to a process of the pool is not that fork's: neither the calls, nor the memory of their results.
void leave_if_forked(std::uint32_t own_forks) noexcept {
    if (fork_count() != own_forks) {
        std::fputs("asyncio: a fork of a process of a pool has left the function that it was made "
                   "in, and ends: let it call _exit()\n",
                   stderr);
        ::_exit(1);
    }
}

// Asks whose it is before what a function returns is written.
class ResultWriter final : public SharedWriter {
public:
    ResultWriter(SharedBuffer& buffer, std::uint32_t own_forks) noexcept
        : SharedWriter(buffer), own_forks_(own_forks) {}

    // The next thing to be written is a result.
    void expect_result() noexcept { leave_no_room(); }

private:
    void grow(std::size_t size) override {
        leave_if_forked(own_forks_);
        SharedWriter::grow(size);
    }

    const std::uint32_t own_forks_;
};

// Where an exception comes from costs memory, and there may be none left.
std::string place_of(const RemoteFunction& function, const std::string& process) {
    try {
        return thrown_by(function) + ", in process " + process;
    } catch (const std::bad_alloc&) {
        return "process " + process;
    }
}

class WorkerLoop {
public:
    WorkerLoop(UniqueFd bell, UniqueFd answers, Mailboxes memory)
        : bell_(std::move(bell)), answers_(std::move(answers)), inbox_(std::move(memory.inbox)),
          outbox_(std::move(memory.outbox)) {}

    void run() {
        Doorbell bell = last_bell;
        while (uninterrupted([&] { return ::read(bell_.get(), &bell, sizeof bell); }) ==
                   sizeof bell &&
               bell.size != last_bell.size) {
            ResultWriter results(outbox_, own_forks_);
            Reader reader(inbox_.message(bell.size));
            run_calls(reader, results);
            inbox_.release(bell.size);
            // No other file: a thread of the function's may be waiting for one, and has it locked.
            std::fflush(stdout);
            std::cout.flush();
            const Doorbell answer{results.size()};
            if (::write(answers_.get(), &answer, sizeof answer) < 0) {
                return;  // a function has closed what is not its own
            }
        }
    }

private:
    void run_calls(Reader& reader, ResultWriter& results) {
        CallsHeader header;
        std::memcpy(&header, reader.read(sizeof header), sizeof header);
        for (std::uint64_t i = 0; i < header.count; ++i) {
            reader.align(alignof(ArgumentsHeader));
            ArgumentsHeader arguments;
            std::memcpy(&arguments, reader.read(sizeof arguments), sizeof arguments);
            Reader one({reader.read(arguments.size), arguments.size});
            run_call(header.function, one, results);
        }
    }

    void run_call(const RemoteFunction* function, Reader& arguments, ResultWriter& results) {
        results.align(alignof(ResultHeader));
        const std::size_t start = results.size();
        ResultHeader header{};
        results.write(&header, sizeof header);
        results.expect_result();
        if (!is_known(function)) {
            function = &missing;
        }
        try {
            function->call(arguments, results);
        } catch (const ThrowObserver&) {
            std::terminate();  // it cannot come here
        } catch (...) {
            leave_if_forked(own_forks_);
            outbox_.release(results.size(), start);
            results.rewind(start + sizeof header);
            header.failed = 1;
            try {
                write_error(results, std::current_exception(), place_of(*function, own_number_));
            } catch (const std::bad_alloc&) {
                results.rewind(start + sizeof header);
                write_bad_alloc(results);
            }
        }
        leave_if_forked(own_forks_);
        const std::size_t end = results.size();
        header.size = end - start - sizeof header;
        std::memcpy(outbox_.data() + start, &header, sizeof header);
    }

    bool is_known(const RemoteFunction* function) {
        if (!known_.contains(function)) {
            if (!is_loaded(function, sizeof *function)) {
                return false;
            }
            known_.insert(function);
        }
        return true;
    }

    UniqueFd bell_;
    UniqueFd answers_;
    SharedBuffer inbox_;
    SharedBuffer outbox_;
    std::unordered_set<const RemoteFunction*> known_;
    const std::uint32_t own_forks_ = fork_count();
    const std::string own_number_ = std::to_string(::getpid());
};

}  // namespace

Reply read_reply(Reader& message) {
    message.align(alignof(ResultHeader));
    ResultHeader header;
    message.read_into(&header, sizeof header);
    return {header.failed != 0, Reader({message.read(header.size), header.size})};
}

void run_worker(pid_t server, UniqueFd bell, UniqueFd answers, Mailboxes memory) noexcept {
    become_copy(server, "asyncio-worker");
    take_long_time_slices();
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    close_descriptors_but({bell.get(), answers.get(), memory.inbox.get(), memory.outbox.get()});
    try {
        WorkerLoop(std::move(bell), std::move(answers), std::move(memory)).run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "asyncio: a process of a pool ends: %s\n", error.what());
        ::_exit(1);
    }
    ::_exit(0);
}

}  // namespace detail
}  // namespace asyncio::inline v0
