#include "certificates.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <fstream>
#include <stdexcept>

namespace tls {

namespace {

void require(bool success) {
    if (!success) {
        throw std::runtime_error("OpenSSL makes no certificate");
    }
}

// What `write` puts into a BIO.
template <class Write>
std::string text_of(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), &BIO_free_all);
    require(bio != nullptr && write(bio.get()) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Certificate::Certificate(const CertificateOptions& options)
    : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate_(X509_new(), &X509_free) {
    require(key_ != nullptr && certificate_ != nullptr);
    set_up(options);
}

void Certificate::set_up(const CertificateOptions& options) {
    X509* const own = certificate_.get();
    X509* const issuer = options.issuer != nullptr ? options.issuer->certificate_.get() : own;
    static int serial = 0;
    X509_set_version(own, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(own), ++serial);
    X509_time_adj_ex(X509_getm_notBefore(own), options.first_day, 0, nullptr);
    X509_time_adj_ex(X509_getm_notAfter(own), options.last_day, 0, nullptr);
    X509_set_pubkey(own, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(own), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(options.common_name.c_str()),
                               -1, -1, 0);
    X509_set_issuer_name(own, X509_get_subject_name(issuer));
    add_extension(NID_basic_constraints, options.is_authority ? "critical,CA:TRUE" : "CA:FALSE",
                  issuer);
    add_extension(NID_key_usage,
                  options.is_authority ? "critical,keyCertSign,cRLSign" : "digitalSignature",
                  issuer);
    add_extension(NID_subject_key_identifier, "hash", issuer);
    add_extension(NID_authority_key_identifier, "keyid", issuer);
    if (!options.subject_alt_name.empty()) {
        add_extension(NID_subject_alt_name, options.subject_alt_name, issuer);
    }
    EVP_PKEY* const signing_key =
        options.issuer != nullptr ? options.issuer->key_.get() : key_.get();
    require(X509_sign(own, signing_key, EVP_sha256()) > 0);
}

void Certificate::add_extension(int nid, const std::string& value, X509* issuer) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate_.get(), nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), &X509_EXTENSION_free);
    require(extension != nullptr && X509_add_ext(certificate_.get(), extension.get(), -1) == 1);
}

std::string Certificate::pem() const {
    return text_of([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

std::string Certificate::der() const {
    return text_of([this](BIO* bio) { return i2d_X509_bio(bio, certificate_.get()); });
}

std::string Certificate::key_pem(const std::string& password) const {
    return text_of([&](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(
            bio, key_.get(), password.empty() ? nullptr : EVP_aes_128_cbc(), password.data(),
            static_cast<int>(password.size()), nullptr, nullptr);
    });
}

Directory::Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "asyncio-tls-XXXXXX";
    require(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

Directory::~Directory() { std::filesystem::remove_all(path_); }

std::string Directory::write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name)) << content;
    return path(name);
}

std::string Directory::write(const std::string& name, const Certificate& certificate) const {
    return write(name, certificate.pem() + certificate.key_pem());
}

}  // namespace tls
