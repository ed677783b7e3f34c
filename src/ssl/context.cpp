// Setting a context up.
#include <asyncio/exceptions.hpp>
#include <asyncio/openssl.hpp>

#include "ssl/connection.hpp"
#include "ssl/context_state.hpp"
#include "ssl/error.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace asyncio::inline v0 {
namespace ssl {

namespace {

using namespace detail;

// As Python's: forward secrecy, and authenticated encryption or AES.
constexpr const char* default_ciphers = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:"
                                        "!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM";

std::string quoted(const std::string& text) { return "'" + text + "'"; }

int openssl_version(TLSVersion version) noexcept {
    return version == TLSVersion::TLSv1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

int openssl_mode(VerifyMode mode) noexcept {
    switch (mode) {
    case VerifyMode::none:
        return SSL_VERIFY_NONE;
    case VerifyMode::optional:
        return SSL_VERIFY_PEER;
    case VerifyMode::required:
        break;
    }
    return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

// The password for what a context loads while this lives. Without it, OpenSSL would ask the
// terminal.
struct Password {
    Password(SSL_CTX* for_context, const std::string& password);
    Password(const Password&) = delete;
    Password& operator=(const Password&) = delete;
    ~Password() {
        SSL_CTX_set_default_passwd_cb(context, nullptr);
        SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
    }

    SSL_CTX* const context;
    const std::string& text;
    bool was_needed = false;
};

int give_password(char* buffer, int size, int /*is_for_writing*/, void* data) noexcept {
    auto& password = *static_cast<Password*>(data);
    password.was_needed = true;
    if (password.text.empty() || password.text.size() > static_cast<std::size_t>(size)) {
        return -1;
    }
    std::ranges::copy(password.text, buffer);
    return static_cast<int>(password.text.size());
}

Password::Password(SSL_CTX* for_context, const std::string& password)
    : context(for_context), text(password) {
    SSL_CTX_set_default_passwd_cb(context, &give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, this);
}

int select_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                const unsigned char* offered, unsigned offered_size, void* state) noexcept {
    const std::string& own = static_cast<const ContextState*>(state)->alpn;
    unsigned char* name = nullptr;
    const int found = SSL_select_next_proto(
        &name, chosen_size, reinterpret_cast<const unsigned char*>(own.data()),
        static_cast<unsigned>(own.size()), offered, offered_size);
    *chosen = name;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// Returns how many certificates there are in `data`, having added them.
int add_certificates(X509_STORE* store, const std::string& data) {
    const bool is_pem = data.find("-----BEGIN") != data.npos;
    const OwnedBio bio(BIO_new_mem_buf(data.data(), static_cast<int>(data.size())));
    check(bio != nullptr);
    for (int count = 0;; ++count) {
        const OwnedCertificate certificate(
            is_pem ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, const_cast<char*>(""))
                   : d2i_X509_bio(bio.get(), nullptr));
        if (!certificate) {
            return count;
        }
        check(X509_STORE_add_cert(store, certificate.get()) == 1);
    }
}

void check_hostname_text(const std::string_view name) {
    const bool is_printable =
        std::ranges::all_of(name, [](char letter) { return letter > ' ' && letter <= '~'; });
    if (!is_printable || name.starts_with('.') || name.size() > TLSEXT_MAXLEN_host_name) {
        throw ValueError("server_hostname is neither a name nor an IP address; a name with other "
                         "letters than ASCII must be given as it is looked up (xn--...)");
    }
}

}  // namespace

namespace detail {

ContextState::ContextState(Purpose for_purpose)
    : purpose(for_purpose), method(pipe_method()),
      context(SSL_CTX_new(is_server() ? TLS_server_method() : TLS_client_method())) {
    check(context != nullptr);
}

ContextState::~ContextState() {
    if (keylog_fd >= 0) {
        ::close(keylog_fd);
    }
}

}  // namespace detail

Context::Context(Purpose purpose) {
    forget_errors();
    state_ = std::make_shared<ContextState>(purpose);
    SSL_CTX* const context = state_->context.get();
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    set_ciphers(default_ciphers);
    set_minimum_version(TLSVersion::TLSv1_2);
    X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(context),
                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    set_verify_flags(VerifyFlags::partial_chain | VerifyFlags::strict);
    if (state_->is_server()) {
        // A session is only for the context that verified it: it shall not open others.
        std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> id;
        check(RAND_bytes(id.data(), id.size()) == 1 &&
              SSL_CTX_set_session_id_context(context, id.data(), id.size()) == 1);
        SSL_CTX_set_client_hello_cb(context, &Connection::on_client_hello, nullptr);
        set_verify_mode(VerifyMode::none);
    } else {
        SSL_CTX_sess_set_new_cb(context, &Connection::on_new_session);
        set_check_hostname(true);
    }
    set_session_resumption(true);
}

Context::~Context() = default;

ContextState& Context::changeable() {
    if (state_->used) {
        throw RuntimeError("this ssl::Context is in use and cannot be changed any more; set "
                           "another one up");
    }
    forget_errors();
    return *state_;
}

void Context::load_cert_chain(const std::string& certfile, const std::string& keyfile,
                              const std::string& password) {
    SSL_CTX* const context = changeable().context.get();
    const std::string& key = keyfile.empty() ? certfile : keyfile;
    const Password given(context, password);
    if (SSL_CTX_use_certificate_chain_file(context, certfile.c_str()) != 1) {
        throw_file_error("the certificate in " + quoted(certfile));
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1) {
        return;
    }
    if (given.was_needed) {
        forget_errors();
        throw SSLError(password.empty() ? "the key in " + quoted(key) + " needs a password"
                                        : "the password does not open the key in " + quoted(key));
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
        forget_errors();
        throw SSLError("the key in " + quoted(key) + " is not that of the certificate in " +
                       quoted(certfile));
    }
    throw_file_error("the key in " + quoted(key));
}

void Context::load_verify_locations(const VerifyLocations& locations) {
    SSL_CTX* const context = changeable().context.get();
    if (!locations.cafile.empty() &&
        SSL_CTX_load_verify_file(context, locations.cafile.c_str()) != 1) {
        throw_file_error("the authorities in " + quoted(locations.cafile));
    }
    if (!locations.capath.empty()) {
        if (!std::filesystem::is_directory(locations.capath)) {
            throw std::system_error(ENOTDIR, std::generic_category(),
                                    "cannot read the authorities in " + quoted(locations.capath));
        }
        check(SSL_CTX_load_verify_dir(context, locations.capath.c_str()) == 1);
    }
    if (!locations.cadata.empty()) {
        const int count = add_certificates(SSL_CTX_get_cert_store(context), locations.cadata);
        forget_errors();
        if (count == 0) {
            throw SSLError("cadata has no certificate, neither in PEM nor in DER");
        }
    }
}

void Context::load_default_certs() {
    check(SSL_CTX_set_default_verify_paths(changeable().context.get()) == 1);
}

void Context::set_verify_mode(VerifyMode mode) {
    ContextState& state = changeable();
    if (mode == VerifyMode::none && state.check_hostname) {
        throw ValueError("verify_mode cannot be none while check_hostname is set: call "
                         "set_check_hostname(false) before");
    }
    SSL_CTX_set_verify(state.context.get(), openssl_mode(mode), &Connection::on_verified);
    state.verify_mode = mode;
}
VerifyMode Context::verify_mode() const noexcept { return state_->verify_mode; }

void Context::set_verify_flags(VerifyFlags flags) {
    ContextState& state = changeable();
    constexpr unsigned long all =
        X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT | X509_V_FLAG_CRL_CHECK;
    X509_VERIFY_PARAM* const parameters = SSL_CTX_get0_param(state.context.get());
    X509_VERIFY_PARAM_clear_flags(parameters, all);
    check(
        X509_VERIFY_PARAM_set_flags(
            parameters, X509_V_FLAG_TRUSTED_FIRST |
                            (flags & VerifyFlags::partial_chain ? X509_V_FLAG_PARTIAL_CHAIN : 0ul) |
                            (flags & VerifyFlags::strict ? X509_V_FLAG_X509_STRICT : 0ul) |
                            (flags & VerifyFlags::check_crls ? X509_V_FLAG_CRL_CHECK : 0ul)) == 1);
    state.verify_flags = flags;
}
VerifyFlags Context::verify_flags() const noexcept { return state_->verify_flags; }

void Context::set_check_hostname(bool check_hostname) {
    changeable().check_hostname = check_hostname;
    if (check_hostname) {
        set_verify_mode(VerifyMode::required);
    }
}
bool Context::check_hostname() const noexcept { return state_->check_hostname; }

void Context::set_minimum_version(TLSVersion version) {
    check(SSL_CTX_set_min_proto_version(changeable().context.get(), openssl_version(version)) == 1);
}

void Context::set_maximum_version(TLSVersion version) {
    check(SSL_CTX_set_max_proto_version(changeable().context.get(), openssl_version(version)) == 1);
}

void Context::set_ciphers(const std::string& ciphers) {
    check(SSL_CTX_set_cipher_list(changeable().context.get(), ciphers.c_str()) == 1);
}

void Context::set_alpn_protocols(const std::vector<std::string>& protocols) {
    ContextState& state = changeable();
    std::string alpn;
    for (const std::string& protocol : protocols) {
        if (protocol.empty() || protocol.size() > 255) {
            throw ValueError("the name of an ALPN protocol has 1 to 255 bytes");
        }
        alpn += static_cast<char>(protocol.size());
        alpn += protocol;
    }
    state.alpn = std::move(alpn);
    if (state.is_server()) {
        SSL_CTX_set_alpn_select_cb(state.context.get(), &select_alpn, &state);
    } else {  // 0 is success here
        check(SSL_CTX_set_alpn_protos(state.context.get(),
                                      reinterpret_cast<const unsigned char*>(state.alpn.data()),
                                      static_cast<unsigned>(state.alpn.size())) == 0);
    }
}

void Context::set_sni_callback(SNICallback callback) {
    changeable().sni_callback = std::move(callback);
}

void Context::set_session_resumption(bool resumption) {
    ContextState& state = changeable();
    SSL_CTX* const context = state.context.get();
    if (resumption) {
        SSL_CTX_clear_options(context, SSL_OP_NO_TICKET);
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
    // Servers remember nothing: what they would is in the tickets.
    SSL_CTX_set_session_cache_mode(context, resumption && !state.is_server()
                                                ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                : SSL_SESS_CACHE_OFF);
    constexpr std::size_t tickets = 2;
    check(SSL_CTX_set_num_tickets(context, resumption ? tickets : 0) == 1);
}

void Context::set_keylog_filename(const std::string& filename) {
    ContextState& state = changeable();
    const int fd = ::open(filename.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(),
                                "cannot write the keys to " + quoted(filename));
    }
    if (state.keylog_fd >= 0) {
        ::close(state.keylog_fd);
    }
    state.keylog_fd = fd;
    SSL_CTX_set_keylog_callback(state.context.get(), &Connection::on_secret);
}

std::unique_ptr<SSLObject> Context::wrap_bio(bool server_side,
                                             std::string_view server_hostname) const {
    if (server_side != state_->is_server()) {
        throw ValueError(server_side ? "a server needs a context of Purpose::client_auth"
                                     : "a client needs a context of Purpose::server_auth");
    }
    if (server_side) {
        if (!server_hostname.empty()) {
            throw ValueError("server_hostname is for clients only");
        }
        if (SSL_CTX_get0_certificate(state_->context.get()) == nullptr && !state_->sni_callback) {
            throw ValueError("a server needs a certificate: call load_cert_chain before");
        }
    } else if (server_hostname.empty() && state_->check_hostname) {
        throw ValueError("server_hostname is missing; check_hostname needs it");
    }
    check_hostname_text(server_hostname);
    state_->used = true;
    return std::make_unique<Connection>(state_, server_hostname);
}

std::shared_ptr<Context> create_default_context(Purpose purpose, const VerifyLocations& locations) {
    auto context = std::make_shared<Context>(purpose);
    context->load_verify_locations(locations);
    if (purpose == Purpose::server_auth && locations.cafile.empty() && locations.capath.empty() &&
        locations.cadata.empty()) {
        context->load_default_certs();
    }
    return context;
}

}  // namespace ssl
}  // namespace asyncio::inline v0
