// The operations of a connection, each around one of OpenSSL's.
#include "ssl/connection.hpp"

#include <asyncio/exceptions.hpp>

#include "ssl/certificate.hpp"
#include "ssl/error.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace asyncio::inline v0 {
namespace ssl::detail {

namespace {

// write() takes nothing more while so much is to be sent.
constexpr std::size_t outgoing_max = 64u << 10;
constexpr std::size_t record_max = SSL3_RT_MAX_PLAIN_LENGTH;
// What so many records have besides their data.
constexpr std::size_t overhead_max = (outgoing_max / record_max + 1) * 128;

Connection& connection_of(const SSL* connection) noexcept {
    return *static_cast<Connection*>(SSL_get_app_data(connection));
}

std::string_view text_of(const unsigned char* text, std::size_t size) noexcept {
    return {reinterpret_cast<const char*>(text), size};
}

// The name within a ClientHello, "" if it has none: RFC 6066, section 3. The extension is a list
// that may have one name, which is of the kind 0.
std::string_view server_name_of(SSL* connection) noexcept {
    const unsigned char* extension = nullptr;
    std::size_t size = 0;
    constexpr std::size_t head_size = 5;  // the list's length, the kind, and the name's length
    if (SSL_client_hello_get0_ext(connection, TLSEXT_TYPE_server_name, &extension, &size) != 1 ||
        size < head_size || extension[2] != TLSEXT_NAMETYPE_host_name) {
        return {};
    }
    const auto name_size = static_cast<std::size_t>(extension[3] << 8 | extension[4]);
    return size < head_size + name_size ? std::string_view()
                                        : text_of(extension + head_size, name_size);
}

}  // namespace

Connection::Connection(std::shared_ptr<const ContextState> context,
                       std::string_view server_hostname)
    : first_context_(context), context_(std::move(context)), server_hostname_(server_hostname) {
    forget_errors();
    connection_.reset(SSL_new(context_->context.get()));
    check(connection_ != nullptr);
    SSL* const ssl = connection_.get();
    SSL_set_app_data(ssl, this);
    BIO* const bio = make_bio(context_->method.get(), pipe_).release();
    SSL_set_bio(ssl, bio, bio);
    if (context_->is_server()) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        begin_client();
    }
}

Connection::~Connection() {
    // Else its session could not be resumed, unless both had called unwrap(): a rule of SSL 3.
    // After an error OpenSSL has given the session up already.
    SSL_set_shutdown(connection_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void Connection::begin_client() {
    if (server_hostname_.empty()) {
        return;
    }
    SSL* const ssl = connection_.get();
    const char* const name = server_hostname_.c_str();
    const bool is_address = OwnedAddress(a2i_IPADDRESS(name)) != nullptr;
    forget_errors();
    if (!is_address) {  // RFC 6066 leaves addresses out
        check(SSL_set_tlsext_host_name(ssl, name) == 1);
    }
    if (context_->check_hostname) {
        check((is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name)
                          : SSL_set1_host(ssl, name)) == 1);
    }
    if (const OwnedSession session = context_->sessions.take(server_hostname_)) {
        check(SSL_set_session(ssl, session.get()) == 1);
    }
}

// ---- towards the network

std::span<std::byte> Connection::incoming(std::size_t size) { return pipe_.incoming.room(size); }
void Connection::commit(std::size_t size) noexcept { pipe_.incoming.commit(size); }
void Connection::feed_eof() noexcept { pipe_.at_eof = true; }
std::span<const std::byte> Connection::outgoing() const noexcept { return pipe_.outgoing.data(); }
void Connection::consume(std::size_t size) noexcept { pipe_.outgoing.consume(size); }

// ---- towards the program

void Connection::raise_failure() const {
    if (failure_) [[unlikely]] {
        std::rethrow_exception(failure_);
    }
}

template <class Call>
Connection::Step Connection::step(Call call) {
    raise_failure();
    forget_errors();
    const int result = call();
    if (result > 0) [[likely]] {
        return Step::done;
    }
    switch (SSL_get_error(connection_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        return Step::waits;
    case SSL_ERROR_ZERO_RETURN:
        return Step::closed;
    default:
        fail();
    }
}

void Connection::fail() {
    try {
        if (callback_error_) {
            std::rethrow_exception(callback_error_);
        }
        throw_connection_error(connection_.get(), handshake_done_, verify_remedy_);
    } catch (...) {
        failure_ = std::current_exception();
        throw;
    }
}

bool Connection::do_handshake() {
    if (step([this] { return SSL_do_handshake(connection_.get()); }) == Step::done) {
        handshake_done_ = true;
    }
    return handshake_done_;
}

std::optional<std::size_t> Connection::read(std::span<std::byte> buffer) {
    std::size_t size = 0;
    switch (
        step([&] { return SSL_read_ex(connection_.get(), buffer.data(), buffer.size(), &size); })) {
    case Step::done:
        return size;
    case Step::waits:
        return std::nullopt;
    case Step::closed:
        break;
    }
    return 0;
}

std::size_t Connection::write(std::span<const std::byte> data) {
    raise_failure();
    if (!handshake_done_) {
        throw RuntimeError("nothing can be written before do_handshake() has returned true");
    }
    if (data.empty() || pipe_.outgoing.size() >= outgoing_max) {
        return 0;
    }
    // One allocation for all of it, instead of one for each doubling.
    pipe_.outgoing.room(std::min(data.size(), outgoing_max - pipe_.outgoing.size() + record_max) +
                        overhead_max);
    std::span<const std::byte> left = data;
    while (!left.empty() && pipe_.outgoing.size() < outgoing_max) {
        std::size_t taken = 0;
        step([&] {
            return SSL_write_ex(connection_.get(), left.data(), std::min(left.size(), record_max),
                                &taken);
        });
        left = left.subspan(taken);
    }
    return data.size() - left.size();
}

bool Connection::unwrap() {
    if ((SSL_get_shutdown(connection_.get()) & SSL_SENT_SHUTDOWN) == 0) {
        // 0 says that the peer's is missing, and is no error.
        step([this] { return SSL_shutdown(connection_.get()) < 0 ? -1 : 1; });
    }
    std::array<std::byte, 4096> thrown_away;
    std::optional<std::size_t> size;
    do {
        size = read(thrown_away);
    } while (size && *size != 0);
    return size.has_value();
}

// ---- about the connection

std::string_view Connection::version() const noexcept {
    return handshake_done_ ? SSL_get_version(connection_.get()) : "";
}

std::optional<SSLCipher> Connection::cipher() const {
    const SSL_CIPHER* const cipher = SSL_get_current_cipher(connection_.get());
    if (cipher == nullptr) {
        return std::nullopt;
    }
    return SSLCipher{SSL_CIPHER_get_name(cipher), SSL_CIPHER_get_version(cipher),
                     SSL_CIPHER_get_bits(cipher, nullptr)};
}

std::string_view Connection::selected_alpn_protocol() const noexcept {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(connection_.get(), &name, &size);
    return text_of(name, size);
}

std::optional<SSLCertificate> Connection::getpeercert() const {
    forget_errors();
    X509* const certificate = SSL_get0_peer_certificate(connection_.get());
    if (certificate == nullptr) {
        return std::nullopt;
    }
    SSLCertificate result = describe(certificate);
    forget_errors();
    return result;
}

std::string_view Connection::server_hostname() const noexcept { return server_hostname_; }

bool Connection::session_reused() const noexcept {
    return SSL_session_reused(connection_.get()) == 1;
}

// ---- what OpenSSL calls back

void Connection::choose_context(std::string_view server_name) {
    server_hostname_ = server_name;
    // A client may have to say hello twice.
    if (std::exchange(context_chosen_, true) || !context_->sni_callback) {
        return;
    }
    const std::shared_ptr<const Context> chosen = context_->sni_callback(server_name);
    if (!chosen) {
        return;
    }
    if (!chosen->state_->is_server()) {
        throw ValueError("an sni_callback must choose a context for servers, of client_auth");
    }
    context_ = chosen->state_;
    context_->used = true;
    SSL_CTX* const context = context_->context.get();
    SSL* const ssl = connection_.get();
    X509_VERIFY_PARAM* const parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_clear_flags(parameters, X509_VERIFY_PARAM_get_flags(parameters));
    // OpenSSL exchanges only the certificates, and copied the rest when the connection was made.
    check(SSL_set_SSL_CTX(ssl, context) == context &&
          SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(context)) == 1 &&
          SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(context)) == 1 &&
          SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(context)) == 1 &&
          X509_VERIFY_PARAM_set1(parameters, SSL_CTX_get0_param(context)) == 1);
    SSL_set_options(ssl, SSL_CTX_get_options(context));
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), SSL_CTX_get_verify_callback(context));
}

int Connection::on_client_hello(SSL* ssl, int* alert, void*) noexcept {
    Connection& connection = connection_of(ssl);
    try {
        connection.choose_context(server_name_of(ssl));
        return SSL_CLIENT_HELLO_SUCCESS;
    } catch (...) {
        connection.callback_error_ = std::current_exception();
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
}

int Connection::on_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
    const Connection& connection = connection_of(ssl);
    if (connection.server_hostname_.empty()) {
        return 0;
    }
    try {
        connection.context_->sessions.put(connection.server_hostname_, OwnedSession(session));
        return 1;
    } catch (const std::bad_alloc&) {
        return 1;  // it is freed, and the next handshake a full one
    }
}

void Connection::on_secret(const SSL* ssl, const char* line) noexcept {
    const int fd = connection_of(ssl).context_->keylog_fd;
    std::array<iovec, 2> parts{
        {{const_cast<char*>(line), std::strlen(line)}, {const_cast<char*>("\n"), 1}}};
    // One call, so that threads do not mix their lines. There is nobody to tell that it failed.
    [[maybe_unused]] const auto written = ::writev(fd, parts.data(), parts.size());
}

int Connection::on_verified(int trusted, X509_STORE_CTX* verification) noexcept {
    if (trusted == 1) {
        return 1;
    }
    Connection& connection = connection_of(static_cast<SSL*>(
        X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx())));
    try {
        connection.verify_remedy_ =
            verify_remedy(connection.server_hostname_, X509_STORE_CTX_get_error(verification),
                          X509_STORE_CTX_get_current_cert(verification));
    } catch (...) {
        connection.callback_error_ = std::current_exception();
    }
    return 0;
}

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
