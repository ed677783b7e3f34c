// ssl: the contexts for TLS, on OpenSSL 3, as Python's module ssl has them.
//
//     auto context = asyncio::ssl::create_default_context();                // for clients
//
//     auto context = asyncio::ssl::create_default_context(Purpose::client_auth);
//     context->load_cert_chain("certificate.pem", "key.pem");               // for servers
#pragma once

#include <asyncio/ssl.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace asyncio::inline v0 {
namespace ssl {

/// Whom the context authenticates, and so which side it is for.
enum class Purpose : std::uint8_t {
    server_auth,  ///< for clients
    client_auth,  ///< for servers
};

/// What is asked of the peer's certificate.
enum class VerifyMode : std::uint8_t {
    none,      ///< nothing: anybody may be the peer
    optional,  ///< that it can be trusted, if the peer shows one; for a client as `required`
    required,  ///< that there is one, and it can be trusted
};

/// How certificates are verified: flags, combined with | and asked for with &.
enum class VerifyFlags : std::uint8_t {
    none = 0,
    /// Trust in a certificate that is no root is enough.
    partial_chain = 1,
    /// Certificates that break the rules of RFC 5280 are refused.
    strict = 2,
    /// Every certificate needs a list of revoked ones, which load_verify_locations() has loaded.
    check_crls = 4,
};
constexpr VerifyFlags operator|(VerifyFlags a, VerifyFlags b) noexcept {
    return static_cast<VerifyFlags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool operator&(VerifyFlags a, VerifyFlags b) noexcept {
    return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0;
}

/// The versions that are still safe (RFC 8996).
enum class TLSVersion : std::uint8_t { TLSv1_2, TLSv1_3 };

/// The authorities to trust; what is empty names none.
struct VerifyLocations {
    std::string cafile = {};  ///< a file of PEM certificates
    std::string capath = {};  ///< a directory of them, made by `openssl rehash`
    std::string cadata = {};  ///< certificates themselves, in PEM or DER
};

class Context;

/// The context of a name that a client asks for; null for the one that was asked.
using SNICallback = std::function<std::shared_ptr<const Context>(std::string_view server_name)>;

namespace detail {
class Connection;
struct ContextState;
}  // namespace detail

/// The certificates and settings of one side of TLS. It is set up first and used then: from the
/// first wrap_bio() on, every function that would change it raises RuntimeError.
///
/// Defaults, as in Python 3.14: TLS 1.2 or 1.3 with ciphers that have forward secrecy and
/// authenticate what they encrypt or are AES; no compression, no renegotiation; clients verify the
/// server's certificate and name, with partial_chain and strict; servers ask for no certificate.
///
/// Errors: files that cannot be read raise std::system_error; what is in them, SSLError. The text
/// names the file. Thread safety: set up by one thread; then shared.
class ASYNCIO_API Context final : public SSLContext {
public:
    /// A context that trusts nobody yet; create_default_context() makes one that does.
    explicit Context(Purpose purpose);
    ~Context() override;

    /// Shows the peer this certificate, and those that lead from it to an authority, which follow
    /// it in the file. The key may be in the same file. Servers need one.
    void load_cert_chain(const std::string& certfile, const std::string& keyfile = {},
                         const std::string& password = {});
    /// Trusts these authorities, too.
    void load_verify_locations(const VerifyLocations& locations);
    /// Trusts the system's authorities, too: those that OpenSSL is set up for, or which the
    /// environment names in SSL_CERT_FILE and SSL_CERT_DIR. Files are read when they are needed.
    void load_default_certs();

    /// Raises: ValueError for `none` while check_hostname is set.
    void set_verify_mode(VerifyMode mode);
    VerifyMode verify_mode() const noexcept;
    void set_verify_flags(VerifyFlags flags);
    VerifyFlags verify_flags() const noexcept;
    /// Whether the server's certificate must be for the name that is asked for. Setting it makes
    /// verification `required`.
    void set_check_hostname(bool check_hostname);
    bool check_hostname() const noexcept;

    void set_minimum_version(TLSVersion version);
    void set_maximum_version(TLSVersion version);
    /// In OpenSSL's language, for TLS 1.2; those of TLS 1.3 stay as they are. Raises: SSLError if
    /// it names none.
    void set_ciphers(const std::string& ciphers);
    /// In the order of preference: {"h2", "http/1.1"}. A server chooses the first of its own that
    /// the client has; if there is none, the connection is made without. Raises: ValueError for
    /// an empty one, or one longer than 255 bytes.
    void set_alpn_protocols(const std::vector<std::string>& protocols);
    /// For servers: chooses the context by the name that a client asks for, "" if by none. What
    /// it throws ends the handshake and comes out of do_handshake(). Called by any thread that
    /// uses the context; must not keep it alive.
    void set_sni_callback(SNICallback callback);
    /// Whether handshakes are shortened by what an earlier one agreed on; they are by default.
    /// Servers give tickets, which only this context can read. Clients keep four for each of the
    /// last 256 names, under the same context.
    void set_session_resumption(bool resumption);
    /// Appends the secrets of all connections to this file, for tools such as Wireshark. Whoever
    /// has the file can read the connections. Usually of the environment's SSLKEYLOGFILE.
    void set_keylog_filename(const std::string& filename);

    std::unique_ptr<SSLObject> wrap_bio(bool server_side,
                                        std::string_view server_hostname) const override;

private:
    friend class detail::Connection;

    // Raises: RuntimeError if it is in use.
    detail::ContextState& changeable();

    std::shared_ptr<detail::ContextState> state_;
};

/// A context with the defaults. Clients trust `locations`, or without any the system's
/// authorities; servers trust `locations`, for clients' certificates if those are asked for.
ASYNCIO_API std::shared_ptr<Context> create_default_context(Purpose purpose = Purpose::server_auth,
                                                            const VerifyLocations& locations = {});

}  // namespace ssl
}  // namespace asyncio::inline v0
