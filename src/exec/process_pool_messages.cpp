// What goes to a pool's processes, and what comes back.
#include "exec/process_pool.hpp"

#include <cstring>

namespace asyncio::inline v0 {
namespace detail {

namespace {

// The arguments of one call, and their size before them. `call` is a call, or the initializer.
template <class Call>
void write_arguments(SharedBuffer& memory, Writer& writer, Call& call) {
    writer.align(alignof(ArgumentsHeader));
    const std::size_t start = writer.size();
    ArgumentsHeader header{};
    writer.write(&header, sizeof header);
    call.write_arguments(writer);
    header.size = writer.size() - start - sizeof header;
    std::memcpy(memory.data() + start, &header, sizeof header);
}

}  // namespace

// ---- there

std::size_t ProcessPool::write_calls(Worker& worker, Calls& ended) noexcept {
    std::uint64_t count = 0;
    SharedWriter writer(worker.inbox);
    const CallsHeader placeholder{&worker.running.front().function(), 0};
    writer.write(&placeholder, sizeof placeholder);
    worker.running.for_each([&](RemoteCall& call) {
        if (!call.state().begin()) {  // it was cancelled
            call.unlink();
            ended.push_back(call);  // `current` may be this one, so it lives until the lock is back
            return;
        }
        const std::size_t before = writer.size();
        try {
            write_arguments(worker.inbox, writer, call);
            ++count;
        } catch (...) {
            worker.inbox.release(writer.size(), before);
            writer.rewind(before);
            call.state().receiver().error = std::current_exception();
            call.unlink();
            ended.push_back(call);
        }
    });
    const CallsHeader header{placeholder.function, count};
    std::memcpy(worker.inbox.data(), &header, sizeof header);
    return count == 0 ? 0 : writer.size();
}

std::size_t ProcessPool::write_initializer(Worker& worker) {
    SharedWriter writer(worker.inbox);
    const CallsHeader calls{&options_.initializer.function(), 1};
    writer.write(&calls, sizeof calls);
    write_arguments(worker.inbox, writer, options_.initializer);
    return writer.size();
}

// ---- and back

std::string ProcessPool::read_results(Worker& worker, std::uint64_t size, Calls& ended) noexcept {
    try {
        Reader reader(worker.outbox.message(size));
        while (!worker.running.empty()) {
            RemoteCall& call = worker.running.front();
            Reply reply = read_reply(reader);
            try {
                if (reply.failed) {
                    call.state().receiver().error = read_error(reply.contents);
                } else {
                    call.read_result(reply.contents);
                }
            } catch (...) {
                call.state().receiver().error = std::current_exception();
            }
            call.unlink();
            ended.push_back(call);
        }
        worker.outbox.release(size);
        return {};
    } catch (const std::exception& error) {
        return error.what();
    }
}

std::string ProcessPool::read_initialised(Worker& worker, std::uint64_t size) noexcept {
    std::string reason;
    try {
        Reader reader(worker.outbox.message(size));
        Reply reply = read_reply(reader);
        if (reply.failed) {
            reason = describe_exception(read_error(reply.contents));
        }
        worker.outbox.release(size);
    } catch (...) {
        reason = describe_exception(std::current_exception());
    }
    return reason;
}

}  // namespace detail
}  // namespace asyncio::inline v0
