// Owners of OpenSSL's objects.
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace asyncio::inline v0 {
namespace ssl::detail {

template <auto free_function>
struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
        free_function(object);
    }
};

inline void free_text(char* text) noexcept { OPENSSL_free(text); }

using OwnedAddress = std::unique_ptr<ASN1_OCTET_STRING, Free<ASN1_OCTET_STRING_free>>;
using OwnedBio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using OwnedBioMethod = std::unique_ptr<BIO_METHOD, Free<BIO_meth_free>>;
using OwnedCertificate = std::unique_ptr<X509, Free<X509_free>>;
using OwnedContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using OwnedConnection = std::unique_ptr<SSL, Free<SSL_free>>;
using OwnedSession = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;
using OwnedText = std::unique_ptr<char, Free<free_text>>;

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
