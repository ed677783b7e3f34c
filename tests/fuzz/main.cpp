// The main function of a fuzzer: checks inputs until one fails, which it makes as small as it can.
//
//     [--first SEED] [--count N | --seconds N]   these seeds; the first one is random by default
//     --seed SEED                                this one
//     --bytes PATH                               choices from a file, or each file of a folder
//     --input FILE                               the first line of a file
//
// The parent process only counts; children check inputs, so that one which
// crashes, hangs or leaks is a finding like any other.
#include "target.hpp"

#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string_view>

// Present in programs that are built with AddressSanitizer.
extern "C" __attribute__((weak)) int __lsan_do_recoverable_leak_check();

namespace fuzz {

namespace {

// Looking for leaks costs as much as tens of inputs.
constexpr Seed batch_size = 200;
// How many seconds one input may take: far more than any needs, and what is enough to tell. They
// are the processor's, because a busy machine is not the input's fault.
constexpr int patience = 20;
constexpr int patience_shrinking = 2;
constexpr auto shrinking_max = std::chrono::minutes(2);

using Clock = std::chrono::steady_clock;

enum Exit : int { passed, failed, leaked };

struct Options {
    Seed first = std::random_device()();
    std::optional<Seed> count;
    std::chrono::seconds time{60};
    std::string bytes;
    std::string file;
};

// ---- checking

bool leaks() {
    return &__lsan_do_recoverable_leak_check != nullptr && __lsan_do_recoverable_leak_check() != 0;
}

// Runs `work`, which returns an Exit, in a process of its own. Returns its status as waitpid does.
template <class Work>
int in_child(Work work) {
    std::cout.flush();
    const pid_t child = fork();
    if (child < 0) {
        throw std::runtime_error(std::string("cannot fork: ") + std::strerror(errno));
    }
    if (child == 0) {
        const Exit exit = work();
        std::cout.flush();
        _exit(exit);  // what the parent has allocated is no leak
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

// SIGPROF ends the process after that time; 0 is no limit.
void limit_time(int seconds) {
    const itimerval limit{{0, 0}, {seconds, 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
}

Exit check(const Target& target, const std::string& input, int seconds) {
    limit_time(seconds);
    const std::optional<std::string> problem = problem_with(target, input);
    limit_time(0);
    if (problem) {
        std::cout << *problem << '\n';
    }
    return problem ? failed : passed;
}

Exit check_alone(const Target& target, const std::string& input, int seconds = patience) {
    const Exit exit = check(target, input, seconds);
    return exit == passed && leaks() ? leaked : exit;
}

std::string describe(int status) {
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGPROF ? "does not end"
                                           : std::string("dies: ") + strsignal(WTERMSIG(status));
    }
    switch (WEXITSTATUS(status)) {
    case passed:
        return "passes this time";
    case failed:
        return "fails";
    case leaked:
        return "leaks";
    default:
        return "ends the process with status " + std::to_string(WEXITSTATUS(status));
    }
}

// ---- shrinking

bool still_fails(const Target& target, const std::string& input) {
    return in_child([&] {
               if (std::freopen("/dev/null", "w", stdout) == nullptr ||
                   std::freopen("/dev/null", "w", stderr) == nullptr) {
                   return passed;
               }
               return check_alone(target, input, patience_shrinking);
           }) != 0;
}

// Leaves out what is not needed to fail, until nothing more can be left out or the time is up.
std::string shrink(const Target& target, std::string input) {
    const auto end = Clock::now() + shrinking_max;
    for (bool smaller = true; smaller;) {
        smaller = false;
        std::vector<std::string> candidates = target.smaller(input);
        for (std::size_t i = 0; i < candidates.size();) {
            if (Clock::now() > end) {
                return input;
            }
            if (!still_fails(target, candidates[i])) {
                ++i;
                continue;
            }
            // What was needed so far mostly still is: go on from here.
            input = candidates[i];
            candidates = target.smaller(input);
            smaller = true;
        }
    }
    return input;
}

int report(const Target& target, const std::string& input, int status, const std::string& repeat) {
    std::cout << "FAILED: it " << describe(status) << "\nto repeat: " << repeat << std::endl;
    const std::string small = shrink(target, input);
    std::cout << "\nthe smallest input that fails, for --input:\n" << small << "\n\n";
    const int again = in_child([&] { return check_alone(target, small); });
    std::cout << "it " << describe(again) << '\n';
    return 1;
}

// ---- inputs

// Those of seeds.
class Inputs {
public:
    explicit Inputs(const Target& target) : target_(target) {}
    virtual ~Inputs() = default;

    virtual std::string make(Seed number) const { return target_.make(Choices(number)); }
    // To repeat it.
    virtual std::string option(Seed number) const { return "--seed " + std::to_string(number); }

protected:
    const Target& target_;
};

// Those of bytes in files.
class Files final : public Inputs {
public:
    Files(const Target& target, const std::filesystem::path& path) : Inputs(target) {
        if (!std::filesystem::is_directory(path)) {
            paths_.push_back(path);
            return;
        }
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            paths_.push_back(entry.path());
        }
        std::ranges::sort(paths_);
    }

    Seed count() const { return paths_.size(); }
    std::string make(Seed number) const override {
        std::ifstream file(paths_.at(number), std::ios::binary);
        const std::string text(std::istreambuf_iterator<char>(file), {});
        const std::vector<std::uint8_t> bytes(text.begin(), text.end());
        return target_.make(Choices(bytes));
    }
    std::string option(Seed number) const override {
        return "--bytes " + paths_.at(number).string();
    }

private:
    std::vector<std::filesystem::path> paths_;
};

// ---- running

// Checks seeds until one fails or the time is up; `current` is where it came to.
Exit check_batch(const Target& target, const Inputs& inputs, Seed count, Clock::time_point end,
                 Seed& current) {
    for (; count > 0 && Clock::now() < end; --count, ++current) {
        if (const Exit exit = check(target, inputs.make(current), patience); exit != passed) {
            return exit;
        }
    }
    return leaks() ? leaked : passed;
}

// Finds the seed of a batch that leaks, in `current`.
int find_leak(const Target& target, const Inputs& inputs, Seed first, Seed count, Seed& current) {
    for (current = first; current < first + count; ++current) {
        const int status = in_child([&] { return check_alone(target, inputs.make(current)); });
        if (status != 0) {
            return status;
        }
    }
    throw std::runtime_error("a leak that shows only after several inputs, from " +
                             inputs.option(first) + " on");
}

int run(const Target& target, const Inputs& inputs, const Options& options,
        const std::string& program) {
    void* const shared =
        mmap(nullptr, sizeof(Seed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        throw std::runtime_error(std::string("no memory to share: ") + std::strerror(errno));
    }
    Seed& current = *new (shared) Seed(options.first);
    const auto start = Clock::now();
    const auto end = options.count ? Clock::time_point::max() : start + options.time;
    const Seed last = options.count ? options.first + *options.count : Seed(-1);
    while (current < last && Clock::now() < end) {
        const Seed first = current;
        const Seed count = std::min(batch_size, last - first);
        int status = in_child([&] { return check_batch(target, inputs, count, end, current); });
        if (WIFEXITED(status) && WEXITSTATUS(status) == leaked) {
            status = find_leak(target, inputs, first, count, current);
        }
        if (status != 0) {
            return report(target, inputs.make(current), status,
                          program + ' ' + inputs.option(current));
        }
    }
    const Seed done = current - options.first;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::cout << done << " inputs passed, " << inputs.option(options.first) << " to "
              << inputs.option(current - 1) << ", "
              << static_cast<long>(static_cast<double>(done) / seconds) << " per second\n";
    return 0;
}

int run_file(const Target& target, const std::string& path, const std::string& program) {
    std::ifstream file(path);
    std::string input;
    if (!std::getline(file, input)) {
        throw std::runtime_error("cannot read " + path);
    }
    const int status = in_child([&] { return check_alone(target, input); });
    if (status != 0) {
        return report(target, input, status, program + " --input " + path);
    }
    std::cout << "passed\n";
    return 0;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        if (i + 1 == argc) {
            throw std::runtime_error(std::string(name) + " needs a value");
        }
        const std::string value = argv[i + 1];
        if (name == "--first") {
            options.first = std::stoull(value);
        } else if (name == "--count") {
            options.count = std::stoull(value);
        } else if (name == "--seed") {
            options.first = std::stoull(value);
            options.count = 1;
        } else if (name == "--seconds") {
            options.time = std::chrono::seconds(std::stoul(value));
        } else if (name == "--bytes") {
            options.bytes = value;
        } else if (name == "--input") {
            options.file = value;
        } else {
            throw std::runtime_error("unknown option " + std::string(name));
        }
    }
    return options;
}

int run(const Target& target, Options options, const std::string& program) {
    if (!options.file.empty()) {
        return run_file(target, options.file, program);
    }
    if (options.bytes.empty()) {
        return run(target, Inputs(target), options, program);
    }
    const Files files(target, options.bytes);
    options.first = 0;
    options.count = files.count();
    return run(target, files, options, program);
}

}  // namespace

}  // namespace fuzz

int main(int argc, char** argv) {
    try {
        return fuzz::run(*fuzz::make_target(), fuzz::parse(argc, argv), argv[0]);
    } catch (const std::exception& error) {
        std::cerr << argv[0] << ": " << error.what() << '\n';
        return 2;
    }
}
