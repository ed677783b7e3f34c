// A StreamReader that is fed and read in any order, and a simple model of what it must give.
//
// An input is a line of words. The first is `fed`, for a reader that is fed directly, with its
// limit; or `mem`, for one over a connection in memory, with the seed of its faults. The others are
// steps; in texts and separators, `n` stands for a newline:
//
//     +abn     that text arrives          *5000    so many bytes arrive
//     e        the end of the stream      x        an error; or an abort
//     r        read()                     r5       read(5)
//     i5       read_into() of 5 bytes     k5       readexactly(5)
//     l        readline()                 uab,n    readuntil({"ab", "\n"})
//     c        cancels the read           .        the loop runs
//     p, q     reading is paused, or resumed (mem)
#include <asyncio/asyncio.hpp>
#include <asyncio/testing/memory_streams.hpp>
#include <asyncio/testing/virtual_clock.hpp>

#include "stream_model.hpp"
#include "target.hpp"

#include <algorithm>
#include <sstream>

namespace {

using asyncio::StreamReader;
using fuzz::fed_by;
using fuzz::Read;
using fuzz::require;

// The loop, and the one task that may read.
class Run {
public:
    Run() : loop_(asyncio::new_event_loop({.clock = &clock_})) {}

    asyncio::EventLoop& loop() { return *loop_; }
    bool is_reading() const { return static_cast<bool>(task_); }
    void start(const StreamReader& reader, const Read& read) {
        task_ = loop_->create_task(fuzz::perform, reader, read);
    }
    void cancel() {
        if (task_) {
            task_.cancel();
        }
    }
    void turn(int times) {
        for (int i = 0; i < times; ++i) {
            loop_->run_once(asyncio::Duration::zero());
        }
    }
    // What the read came to; nothing while it waits.
    std::optional<std::string> take() {
        if (!task_ || !task_.done()) {
            return std::nullopt;
        }
        const auto task = std::exchange(task_, {});
        return task.cancelled() ? "cancelled" : task.result();
    }

private:
    asyncio::testing::VirtualClock clock_;
    asyncio::EventLoopPtr loop_;
    asyncio::Task<std::string> task_;
};

// Notes whether a reader wants it to pause.
class PausedTransport final : public asyncio::Transport {
public:
    bool is_paused() const { return paused_; }

    void pause_reading() override {
        require(!std::exchange(paused_, true), "it asks to pause twice");
    }
    void resume_reading() override {
        require(std::exchange(paused_, false), "it asks to go on although nothing is paused");
    }
    bool is_reading() const noexcept override { return !paused_; }
    void close() override {}
    void abort() override {}
    bool is_closing() const noexcept override { return false; }
    void write(std::string_view /*data*/) override {}
    void write(std::string&& /*data*/) override {}
    void writelines(std::span<const std::string_view> /*pieces*/) override {}
    void write_eof() override {}
    bool can_write_eof() const noexcept override { return false; }
    std::size_t get_write_buffer_size() const noexcept override { return 0; }
    asyncio::WriteBufferLimits get_write_buffer_limits() const noexcept override { return {}; }
    void set_write_buffer_limits(std::optional<std::size_t> /*high*/,
                                 std::optional<std::size_t> /*low*/) override {}
    void set_protocol(std::shared_ptr<asyncio::Protocol> /*protocol*/) override {}
    const std::shared_ptr<asyncio::Protocol>& get_protocol() const noexcept override {
        return protocol_;
    }

private:
    bool paused_ = false;
    std::shared_ptr<asyncio::Protocol> protocol_;
};

// A reader that is fed: everything about it is known, also when it waits and when it pauses.
class Fed {
public:
    explicit Fed(fuzz::Seed limit) : model_(limit), reader_(limit) {
        reader_.set_transport(transport_);
    }

    void step(const std::string& word) {
        switch (word[0]) {
        case '+':
        case '*':
            if (!model_.eof) {
                model_.feed(fed_by(word));
                reader_.feed_data(fed_by(word));
            }
            break;
        case 'e':
            model_.eof = true;
            reader_.feed_eof();
            break;
        case 'x':
            model_.failed = true;
            reader_.set_exception(std::make_exception_ptr(fuzz::StreamError()));
            break;
        case 'c':
            model_.cancelled = run_.is_reading();
            run_.cancel();
            break;
        case '.':
            settle();
            break;
        case 'p':
        case 'q':
            break;
        default:
            if (!run_.is_reading()) {
                model_.start(fuzz::parse_read(word));
                run_.start(reader_, fuzz::parse_read(word));
            }
        }
    }

    void finish() {
        settle();
        step("c");
        settle();
        require(!run_.is_reading(), "a read that was cancelled goes on");
        step("e");
        step("r");
        settle();
        require(reader_.at_eof() || model_.failed, "something is left at the end");
    }

private:
    void settle() {
        run_.turn(4);
        const auto result = run_.take();
        const auto expected = model_.attempt();
        require(result == expected, "the read gives '" + result.value_or("nothing") +
                                        "' instead of '" + expected.value_or("nothing") + "'");
        require(transport_->is_paused() == model_.paused,
                model_.paused ? "it does not pause" : "it does not go on");
    }

    const std::shared_ptr<PausedTransport> transport_ = std::make_shared<PausedTransport>();
    fuzz::StreamModel model_;
    StreamReader reader_;
    Run run_;
};

// A connection in memory: what is read must be what was written, in order, and what the function
// that reads it promises, whatever the pieces.
class Connected {
public:
    explicit Connected(fuzz::Seed seed)
        : streams_(run_.loop().run_until_complete(
              asyncio::testing::memory_streams({.to_server = pieces(seed)}))) {}

    void step(const std::string& word) {
        auto& [client, server] = streams_;
        switch (word[0]) {
        case '+':
        case '*':
            if (!ended_) {
                text_ += fed_by(word);
                client.writer.write(fed_by(word));
            }
            break;
        case 'e':
            if (!std::exchange(ended_, true)) {
                client.writer.write_eof();
            }
            break;
        case 'x':
            ended_ = aborted_ = true;
            client.writer.transport().abort();
            break;
        case 'c':
            run_.cancel();
            break;
        case 'p':
            server.writer.transport().pause_reading();
            break;
        case 'q':
            server.writer.transport().resume_reading();
            break;
        case '.':
            run_.turn(1);
            if (const auto result = run_.take()) {
                look_at(*result);
            }
            break;
        default:
            if (!run_.is_reading()) {
                read_ = fuzz::parse_read(word);
                run_.start(server.reader, read_);
            }
        }
    }

    void finish() {
        step("q");
        step("e");
        finish_read();
        step("r");
        finish_read();
        require(aborted_ || rest().empty(), "something of the text was lost");
        streams_.client.writer.close();
        streams_.server.writer.close();
        run_.turn(10);
    }

private:
    // Faults that change no more than the pieces.
    static asyncio::testing::Faults pieces(fuzz::Seed seed) {
        asyncio::testing::Faults faults = asyncio::testing::Faults::random(seed);
        faults.latency = {};
        faults.bytes_per_second = 0;
        faults.cut_after.reset();
        return faults;
    }

    std::string_view rest() const { return std::string_view(text_).substr(place_); }

    void finish_read() {
        // A byte in a turn, and some turns for the beginning and the end.
        for (std::size_t turns = 2 * rest().size() + 20; run_.is_reading() && turns > 0; --turns) {
            step(".");
        }
        require(!run_.is_reading(), "a read stands still at the end of the stream");
    }

    void look_at(const std::string& result) {
        if (result == "cancelled") {
            return;
        }
        const std::size_t space = result.find(' ');
        const std::string_view data = std::string_view(result).substr(space + 1);
        require(rest().starts_with(data), "it reads what was not written there: " + result);
        const bool is_incomplete = result.starts_with("incomplete");
        require(is_incomplete || result.starts_with("got"), "an error without a reason: " + result);
        const bool is_rest = ended_ && (aborted_ || data == rest()) && may_be_rest(data);
        const bool raises = read_.kind == 'k' || read_.kind == 'u';
        require(is_incomplete ? is_rest && raises : fits(data) || (is_rest && !raises),
                "it reads too little or too much: " + result);
        place_ += data.size();
    }

    // Whether the function that reads may give this, at any time.
    bool fits(std::string_view data) const {
        const std::size_t size = read_.size.value_or(0);
        const auto found = fuzz::find_first(data, separators());
        switch (read_.kind) {
        case 'r':
        case 'i':
            return read_.size && data.size() <= size && data.empty() == (size == 0);
        case 'k':
            return data.size() == size;
        default:
            return found && found->end == data.size();
        }
    }
    // Whether it may give this, or raise it, if nothing follows.
    bool may_be_rest(std::string_view data) const {
        switch (read_.kind) {
        case 'r':
            return true;
        case 'i':
            return data.empty();
        case 'k':
            return data.size() < read_.size.value_or(0);
        default:
            return !fuzz::find_first(data, separators());
        }
    }
    std::vector<std::string> separators() const {
        return read_.kind == 'l' ? std::vector<std::string>{"\n"} : read_.separators;
    }

    Run run_;
    asyncio::testing::ConnectedStreams streams_;
    Read read_;
    std::string text_;
    std::size_t place_ = 0;  // everything before was read
    bool ended_ = false;
    bool aborted_ = false;
};

class Streams final : public fuzz::Target {
public:
    std::string make(fuzz::Choices random) const override {
        std::string input = random.one_in(2) ? "fed" + std::to_string(1 + random.below(12))
                                             : "mem" + std::to_string(random.below(1U << 16));
        const std::size_t steps = 4 + random.below(40);
        for (std::size_t i = 0; i < steps; ++i) {
            static const std::string kinds = "++++++......rriikkllluuuccpqq";
            input += ' ' + operands(random.of(kinds), random);
            // The end is the end of most things: not too early.
            if (random.one_in(60)) {
                input += random.one_in(3) ? " x" : " e";
            }
        }
        return input;
    }

    std::optional<std::string> check(const std::string& input) const override {
        std::istringstream words(input);
        std::string setting;
        words >> setting;
        const fuzz::Seed number = std::stoull(setting.substr(3));
        if (setting.starts_with("fed")) {
            perform<Fed>(number, words);
        } else {
            perform<Connected>(number, words);
        }
        return std::nullopt;
    }

private:
    template <class Stream>
    static void perform(fuzz::Seed number, std::istream& words) {
        Stream stream(number);
        for (std::string word; words >> word;) {
            stream.step(word);
        }
        stream.finish();
    }

    // A step of that kind, with what belongs to it.
    static std::string operands(char kind, fuzz::Choices& random) {
        static const std::string letters = "abn";
        const auto text = [&](std::size_t size) {
            std::string result(size, '\0');
            std::ranges::generate(result, [&] { return random.of(letters); });
            return result;
        };
        std::string word(1, kind);
        switch (kind) {
        case '+':
            return random.one_in(20) ? "*" + std::to_string(random.below(8000))
                                     : word + text(1 + random.below(random.of(text_sizes)));
        case 'r':
            return random.one_in(4) ? word : word + std::to_string(random.below(20));
        case 'i':
        case 'k':
            return word + std::to_string(random.below(random.of(sizes)));
        case 'u':
            for (std::size_t count = random.below(4); count > 0; --count) {
                word += text(1 + random.below(4)) + ',';
            }
            return word + text(1 + random.below(4));
        default:
            return word;
        }
    }

    static constexpr std::size_t text_sizes[]{1, 5, 5, 20, 100};
    static constexpr std::size_t sizes[]{1, 5, 5, 20, 100, 9000};
};

}  // namespace

std::unique_ptr<fuzz::Target> fuzz::make_target() { return std::make_unique<Streams>(); }
