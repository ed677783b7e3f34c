// What asyncio needs of TLS, without any I/O, and its errors: the loop's transports speak TLS
// through these two classes. <asyncio/openssl.hpp> has the contexts to use, on OpenSSL.
#pragma once

#include <asyncio/detail/config.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace asyncio::inline v0 {

/// TLS failed. A std::system_error, as Python's is an OSError; the text says what was wrong and
/// what can be done about it.
class ASYNCIO_API SSLError : public std::system_error {
public:
    /// `reason` in the words of OpenSSL: "certificate verify failed". `remedy` may be empty.
    explicit SSLError(std::string reason, std::string_view remedy = {});
    SSLError(const SSLError&) noexcept;
    SSLError& operator=(const SSLError&) = delete;
    ~SSLError() override;

    const char* what() const noexcept override;
    /// The text without the remedy.
    const std::string& reason() const noexcept;

protected:
    SSLError(int python_errno, std::string reason, std::string_view remedy);

private:
    struct Text;
    std::shared_ptr<const Text> text_;
};

/// The peer's certificate cannot be trusted, or is for another name.
class ASYNCIO_API SSLCertVerificationError : public SSLError {
public:
    SSLCertVerificationError(int verify_code, const std::string& verify_message,
                             std::string_view remedy);
    SSLCertVerificationError(const SSLCertVerificationError&) noexcept;
    ~SSLCertVerificationError() override;

    /// One of OpenSSL's X509_V_ERR_ codes.
    int verify_code() const noexcept { return verify_code_; }
    /// "self-signed certificate"
    std::string_view verify_message() const noexcept;

private:
    int verify_code_;
};

/// The connection ended without the peer's close_notify: somebody may have cut the data off.
class ASYNCIO_API SSLEOFError : public SSLError {
public:
    explicit SSLEOFError(std::string_view remedy = {});
    ~SSLEOFError() override;
};

/// What two sides agreed to encrypt with.
struct SSLCipher {
    std::string name;      ///< "TLS_AES_256_GCM_SHA384"
    std::string protocol;  ///< the version of TLS that brought it
    int bits = 0;          ///< of the secret key
};

/// A peer's certificate, with the keys of Python's dictionary.
struct SSLCertificate {
    /// A name's fields in order: {"commonName", "example.org"}.
    using Names = std::vector<std::pair<std::string, std::string>>;

    Names subject;
    Names issuer;
    int version = 0;           ///< 3 for all of today's
    std::string serialNumber;  ///< hexadecimal
    std::chrono::sys_seconds notBefore;
    std::chrono::sys_seconds notAfter;
    /// {"DNS", "example.org"}, {"IP Address", "::1"}, {"email", ...} or {"URI", ...}.
    Names subjectAltName;
    std::string der;  ///< the certificate itself
};

/// One TLS connection between two buffers, as Python's SSLObject with its two MemoryBIOs. Whoever
/// owns it puts what the network brought into the one, and sends what the other has:
///
///     room = object.incoming(size); n = recv(room); object.commit(n);   // or feed_eof()
///     object.do_handshake(), read(), write(), unwrap();
///     object.consume(send(object.outgoing()));                    // after each of these
///
/// Invariants:
///  1. An operation that "waits for the peer" has taken in everything that was committed.
///  2. After an error every operation raises it again. outgoing() may then hold the alert that
///     tells the peer: send it, if it can be sent at once.
///
/// Raises: what says so SSLError or what derives from it. Thread safety: used by one thread at a
/// time. Cost: what TLS itself costs, and one more copy of what comes and goes.
class ASYNCIO_API SSLObject {
public:
    SSLObject() = default;
    SSLObject(const SSLObject&) = delete;
    SSLObject& operator=(const SSLObject&) = delete;
    virtual ~SSLObject();

    // ---- towards the network

    /// Room for at least `size` bytes of what the peer sends; valid until the next call of
    /// anything else. 16 KiB and some make a record.
    virtual std::span<std::byte> incoming(std::size_t size) = 0;
    /// The first `size` bytes of that room have been filled.
    virtual void commit(std::size_t size) noexcept = 0;
    /// The connection ended: nothing comes any more.
    virtual void feed_eof() noexcept = 0;
    /// What is to be sent; valid until the next call of anything else but consume().
    virtual std::span<const std::byte> outgoing() const noexcept = 0;
    /// The first `size` bytes of it have been sent.
    virtual void consume(std::size_t size) noexcept = 0;

    // ---- towards the program

    /// Returns true once the handshake is done, false if it waits for the peer. Also raises what
    /// an sni_callback raises.
    virtual bool do_handshake() = 0;
    /// Decrypts into `buffer`. Returns how many bytes it has: of one record, at most 16 KiB; call
    /// it until it returns something else. 0 is the end that the peer announced; nullopt: it waits
    /// for the peer. Raises: SSLEOFError for an end that nobody announced. Requires: `buffer` is
    /// not empty.
    virtual std::optional<std::size_t> read(std::span<std::byte> buffer) = 0;
    /// Encrypts `data`, the last part as a record of its own. Returns how many bytes it has taken:
    /// all, unless outgoing() holds 64 KiB already and has to be sent first. Requires: the
    /// handshake is done.
    virtual std::size_t write(std::span<const std::byte> data) = 0;
    /// Tells the peer that nothing more will be written, once, and throws away what the peer
    /// still writes: read before. Returns true once the peer has told the same, false if it waits
    /// for that. In between read() still works. Raises: SSLEOFError, as read().
    virtual bool unwrap() = 0;

    // ---- about the connection

    /// "TLSv1.3"; "" before the handshake.
    virtual std::string_view version() const noexcept = 0;
    /// nullopt before the handshake.
    virtual std::optional<SSLCipher> cipher() const = 0;
    /// "h2"; "" if the two sides did not agree on one.
    virtual std::string_view selected_alpn_protocol() const noexcept = 0;
    /// nullopt if the peer showed none, or before the handshake.
    virtual std::optional<SSLCertificate> getpeercert() const = 0;
    /// The server's name as the client wants it to be, on both sides; "" if there is none.
    virtual std::string_view server_hostname() const noexcept = 0;
    /// Whether the handshake was shortened by what an earlier one had agreed on.
    virtual bool session_reused() const noexcept = 0;
};

/// Makes the TLS connections of one side, all with the same certificates and settings.
///
/// Thread safety: loops in several threads may share one.
class ASYNCIO_API SSLContext {
public:
    SSLContext() = default;
    SSLContext(const SSLContext&) = delete;
    SSLContext& operator=(const SSLContext&) = delete;
    virtual ~SSLContext();

    /// A connection that has not begun. `server_hostname` is the name or IP address a client
    /// wants to reach, which the server's certificate must be for; empty for a server. The object
    /// outlives the context if need be. Raises: ValueError if the context is for the other side,
    /// or `server_hostname` is missing or no name.
    virtual std::unique_ptr<SSLObject> wrap_bio(bool server_side,
                                                std::string_view server_hostname) const = 0;
};

}  // namespace asyncio::inline v0
