// Pipe: the two buffers between a connection and whoever owns it, as OpenSSL's transport.
#pragma once

#include "ssl/byte_queue.hpp"
#include "ssl/openssl_types.hpp"

namespace asyncio::inline v0 {
namespace ssl::detail {

struct Pipe {
    ByteQueue incoming;
    ByteQueue outgoing;
    bool at_eof = false;  // nothing follows what is in `incoming`
};

// OpenSSL's own memory BIOs copy once more on each way, and clear what was read.
OwnedBioMethod pipe_method();

// The pipe must outlive the result, and so must the method.
OwnedBio make_bio(const BIO_METHOD* method, Pipe& pipe);

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
