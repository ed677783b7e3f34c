// The functions that OpenSSL calls to read from and write to a Pipe.
#include "ssl/pipe.hpp"

#include "ssl/error.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace asyncio::inline v0 {
namespace ssl::detail {

namespace {

Pipe& pipe_of(BIO* bio) noexcept { return *static_cast<Pipe*>(BIO_get_data(bio)); }

int read_pipe(BIO* bio, char* buffer, std::size_t size, std::size_t* done) noexcept {
    BIO_clear_retry_flags(bio);
    Pipe& pipe = pipe_of(bio);
    *done = std::min(size, pipe.incoming.size());
    if (*done == 0) {
        if (!pipe.at_eof) {
            BIO_set_retry_read(bio);
        }
        return 0;
    }
    std::memcpy(buffer, pipe.incoming.data().data(), *done);
    pipe.incoming.consume(*done);
    return 1;
}

int write_pipe(BIO* bio, const char* data, std::size_t size, std::size_t* done) noexcept {
    BIO_clear_retry_flags(bio);
    try {
        pipe_of(bio).outgoing.append(std::as_bytes(std::span(data, size)));
    } catch (const std::bad_alloc&) {
        ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE);
        return 0;
    }
    *done = size;
    return 1;
}

long control_pipe(BIO* bio, int command, long /*number*/, void* /*pointer*/) noexcept {
    switch (command) {
    case BIO_CTRL_EOF:
        return pipe_of(bio).at_eof && pipe_of(bio).incoming.empty() ? 1 : 0;
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

}  // namespace

OwnedBioMethod pipe_method() {
    OwnedBioMethod method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "asyncio pipe"));
    check(method != nullptr && BIO_meth_set_read_ex(method.get(), &read_pipe) == 1 &&
          BIO_meth_set_write_ex(method.get(), &write_pipe) == 1 &&
          BIO_meth_set_ctrl(method.get(), &control_pipe) == 1);
    return method;
}

OwnedBio make_bio(const BIO_METHOD* method, Pipe& pipe) {
    OwnedBio bio(BIO_new(method));
    check(bio != nullptr);
    BIO_set_data(bio.get(), &pipe);
    BIO_set_init(bio.get(), 1);
    return bio;
}

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
