// The texts: what OpenSSL says, and what can be done about it.
#include "ssl/error.hpp"

#include <asyncio/ssl.hpp>

#include "ssl/certificate.hpp"

#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/sslerr.h>
#include <openssl/x509err.h>

#include <new>
#include <system_error>

namespace asyncio::inline v0 {
namespace ssl::detail {

namespace {

// The last one, which is the least deep: what failed, not why; 0 if there is none.
unsigned long take_last() {
    const unsigned long code = ERR_peek_last_error();
    forget_errors();
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        throw std::bad_alloc();
    }
    return code;
}

std::string reason_of(unsigned long code) {
    const char* const reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "TLS failed with OpenSSL's error " + std::to_string(code);
}

// "" if there is nothing particular to say.
const char* known_remedy(int reason) noexcept {
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return "the peer does not speak TLS here; check the port, and that it is to speak TLS "
               "from the start";
    case SSL_R_HTTP_REQUEST:
        return "the client speaks plain HTTP, but this port speaks TLS: ask for https://";
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the client takes this port for that of an HTTP proxy";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "the two sides have no version of TLS in common; see set_minimum_version and "
               "set_maximum_version of both";
    case SSL_R_NO_SHARED_CIPHER:
        return "the two sides have no cipher in common that fits the kind of the server's key; "
               "see set_ciphers of both";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the peer has no version or cipher in common with this side, or wants a "
               "certificate from it (load_cert_chain); the peer's log may tell";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the client must show one, because verify_mode is `required`: give it one with "
               "load_cert_chain";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the server wants a certificate from this client: give it one with load_cert_chain";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the peer does not trust the authority of this side's certificate: it must load "
               "it, or this side must also show the certificates in between";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        return "the peer refused this side's certificate; the peer's error tells why";
    case SSL_R_TLSV1_UNRECOGNIZED_NAME:
        return "the server does not know the name that was asked for";
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return "the server has no protocol in common with this client; see set_alpn_protocols";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_SSLV3_ALERT_BAD_RECORD_MAC:
    case SSL_R_DATA_LENGTH_TOO_LONG:
        return "what was sent is not what arrived: it was damaged or changed on the way";
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
        return "make it again with 2048 bits of RSA or an elliptic curve, and SHA-256";
    case SSL_R_NO_CIPHER_MATCH:
        return "OpenSSL knows no such cipher; `openssl ciphers -v` lists those it knows";
    case SSL_R_PROTOCOL_IS_SHUTDOWN:
        return "nothing can be written after unwrap()";
    default:
        return "";
    }
}

const char* connection_remedy(int reason, bool handshake_done) noexcept {
    // Once a handshake is done, both do speak TLS, and have a version in common.
    if (handshake_done &&
        (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)) {
        reason = SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC;
    }
    const char* const known = known_remedy(reason);
    if (*known != '\0') {
        return known;
    }
    return reason >= SSL_AD_REASON_OFFSET
               ? "the peer ended the connection; its own error or log tells why"
               : "what arrived breaks the rules of TLS: the peer has a fault, or it was damaged or "
                 "changed on the way";
}

// "'a.example', 'b.example'"
std::string listed_names(const X509* certificate) {
    std::string text;
    for (const auto& [kind, name] : alternative_names(certificate)) {
        if (kind == "DNS" || kind == "IP Address") {
            text.append(text.empty() ? "'" : ", '").append(name).append("'");
        }
    }
    return text;
}

std::string wrong_name(std::string_view wanted, const X509* certificate) {
    const std::string names = listed_names(certificate);
    return "the certificate is not valid for '" + std::string(wanted) + "'" +
           (names.empty() ? ", as it has no subjectAltName" : "; it is for " + names);
}

}  // namespace

void forget_errors() noexcept {
    // Clearing an empty list costs as much as a tenth of a small record.
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

void check(bool success) {
    if (!success) {
        const unsigned long code = take_last();
        throw SSLError(reason_of(code), known_remedy(ERR_GET_REASON(code)));
    }
}

void throw_connection_error(const SSL* connection, bool handshake_done,
                            const std::string& verify_remedy) {
    const unsigned long code = take_last();
    const int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
        throw SSLError(reason_of(code));
    }
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        throw SSLEOFError(handshake_done
                              ? "the connection ended without the peer's close_notify, so that "
                                "data may be missing"
                              : "the peer closed the connection during the handshake: it may not "
                                "speak TLS here, or refuse what this side offers");
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        const long verify_code = SSL_get_verify_result(connection);
        throw SSLCertVerificationError(static_cast<int>(verify_code),
                                       X509_verify_cert_error_string(verify_code), verify_remedy);
    }
    throw SSLError(reason_of(code), connection_remedy(reason, handshake_done));
}

void throw_file_error(const std::string& name) {
    // The first one is the deepest: why it failed.
    const unsigned long code = ERR_peek_error();
    forget_errors();
    if (ERR_SYSTEM_ERROR(code)) {
        throw std::system_error(ERR_GET_REASON(code), std::generic_category(),
                                "cannot read " + name);
    }
    if (ERR_GET_LIB(code) == ERR_LIB_PEM || ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER ||
        (ERR_GET_LIB(code) == ERR_LIB_X509 &&
         ERR_GET_REASON(code) == X509_R_NO_CERTIFICATE_OR_CRL_FOUND)) {
        throw SSLError(name + " is not in the format PEM or damaged (" + reason_of(code) + ")",
                       "it needs lines such as -----BEGIN CERTIFICATE----- or "
                       "-----BEGIN PRIVATE KEY-----");
    }
    throw SSLError(name + " cannot be used: " + reason_of(code),
                   known_remedy(ERR_GET_REASON(code)));
}

std::string verify_remedy(std::string_view server_hostname, int verify_code,
                          const X509* certificate) {
    switch (verify_code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return wrong_name(server_hostname, certificate);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "if it is the peer's own, trust it with load_verify_locations";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "trust its authority with load_verify_locations or load_default_certs; if it is "
               "trusted already, the peer must also show the certificates in between";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "it was valid until " + date_text(time_of(X509_get0_notAfter(certificate))) +
               "; it must be renewed, if the clock of this machine is right";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "it is valid from " + date_text(time_of(X509_get0_notBefore(certificate))) +
               "; is the clock of this machine right?";
    case X509_V_ERR_INVALID_PURPOSE:
        return "it was made for something else; see its extendedKeyUsage";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "load the list of its authority with load_verify_locations, or clear check_crls";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "it must be made again with 2048 bits of RSA or an elliptic curve, and SHA-256";
    default:
        return "";
    }
}

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
