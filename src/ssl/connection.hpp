// Connection: the SSLObject of this component.
#pragma once

#include "ssl/context_state.hpp"

#include <exception>

namespace asyncio::inline v0 {
namespace ssl::detail {

// Invariants:
//  1. OpenSSL's object comes last: it uses the pipe and the contexts (the BIO's method is the
//     first one's), and finds this object by SSL_get_app_data while it lives.
//  2. Once set, failure_ is what every operation raises.
class Connection final : public SSLObject {
public:
    Connection(std::shared_ptr<const ContextState> context, std::string_view server_hostname);
    ~Connection() override;

    std::span<std::byte> incoming(std::size_t size) override;
    void commit(std::size_t size) noexcept override;
    void feed_eof() noexcept override;
    std::span<const std::byte> outgoing() const noexcept override;
    void consume(std::size_t size) noexcept override;

    bool do_handshake() override;
    std::optional<std::size_t> read(std::span<std::byte> buffer) override;
    std::size_t write(std::span<const std::byte> data) override;
    bool unwrap() override;

    std::string_view version() const noexcept override;
    std::optional<SSLCipher> cipher() const override;
    std::string_view selected_alpn_protocol() const noexcept override;
    std::optional<SSLCertificate> getpeercert() const override;
    std::string_view server_hostname() const noexcept override;
    bool session_reused() const noexcept override;

    // What OpenSSL calls back.
    static int on_client_hello(SSL* connection, int* alert, void*) noexcept;
    static int on_new_session(SSL* connection, SSL_SESSION* session) noexcept;
    static void on_secret(const SSL* connection, const char* line) noexcept;
    static int on_verified(int trusted, X509_STORE_CTX* verification) noexcept;

private:
    enum class Step : std::uint8_t { done, waits, closed };

    template <class Call>
    Step step(Call call);
    void raise_failure() const;
    [[noreturn]] void fail();
    void begin_client();
    void choose_context(std::string_view server_name);

    Pipe pipe_;
    const std::shared_ptr<const ContextState> first_context_;
    std::shared_ptr<const ContextState> context_;  // that of the name which the client asked for
    std::string server_hostname_;
    std::string verify_remedy_;
    std::exception_ptr callback_error_;
    std::exception_ptr failure_;
    bool context_chosen_ = false;
    bool handshake_done_ = false;
    OwnedConnection connection_;
};

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
