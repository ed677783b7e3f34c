// The echo server on libuv, as its own documentation writes it, but for uv_try_write: what can be
// sent at once costs no request.
#include "network/announce.hpp"

#include <netinet/in.h>
#include <uv.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

// What is received is sent, or copied, before anybody else reads.
std::vector<char> buffer(std::size_t{64} * 1024);

struct Rest {
    uv_write_t request;
    std::vector<char> bytes;
};

void close_peer(uv_handle_t* peer) {
    if (uv_is_closing(peer) == 0) {
        uv_close(peer, [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
    }
}

void lend_buffer(uv_handle_t*, std::size_t, uv_buf_t* lent) {
    *lent = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

void echo(uv_stream_t* peer, ssize_t size, const uv_buf_t* received) {
    if (size < 0) {
        close_peer(reinterpret_cast<uv_handle_t*>(peer));
        return;
    }
    const uv_buf_t piece = uv_buf_init(received->base, static_cast<unsigned>(size));
    const int sent = std::max(uv_try_write(peer, &piece, 1), 0);
    if (sent == size) {
        return;
    }
    auto* const rest = new Rest{{}, {received->base + sent, received->base + size}};
    rest->request.data = rest;
    const uv_buf_t left =
        uv_buf_init(rest->bytes.data(), static_cast<unsigned>(rest->bytes.size()));
    uv_write(&rest->request, peer, &left, 1,
             [](uv_write_t* request, int) { delete static_cast<Rest*>(request->data); });
}

void accept(uv_stream_t* listener, int) {
    auto* const peer = new uv_tcp_t;
    uv_tcp_init(listener->loop, peer);
    uv_accept(listener, reinterpret_cast<uv_stream_t*>(peer));
    uv_tcp_nodelay(peer, 1);
    uv_read_start(reinterpret_cast<uv_stream_t*>(peer), lend_buffer, echo);
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view row = count > 1 ? arguments[1] : "";
    if (row == "version") {
        std::printf("version %s\n", uv_version_string());
        return 0;
    }
    if (row != "echo") {
        std::fprintf(stderr, "usage: %s echo\n", arguments[0]);
        return 2;
    }
    uv_loop_t* const loop = uv_default_loop();
    uv_tcp_t listener;
    sockaddr_in address;
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
    if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, accept) != 0) {
        std::fprintf(stderr, "cannot listen\n");
        return 1;
    }
    int size = sizeof address;
    uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&address), &size);
    bench::announce(ntohs(address.sin_port));
    return uv_run(loop, UV_RUN_DEFAULT);
}
