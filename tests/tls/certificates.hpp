// Certificates for tests, made while they run: no private key is part of this repository.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <string>

namespace tls {

class Certificate;

struct CertificateOptions {
    std::string common_name = "test";
    std::string subject_alt_name = "DNS:localhost,IP:127.0.0.1,IP:::1";  // "" for none
    int first_day = -1;                                                  // from today
    int last_day = 1;
    bool is_authority = false;
    const Certificate* issuer = nullptr;  // null: it signs itself
};

// A certificate with its key, on the curve P-256.
class Certificate {
public:
    explicit Certificate(const CertificateOptions& options = {});

    std::string pem() const;
    std::string der() const;
    // Encrypted if there is a password.
    std::string key_pem(const std::string& password = {}) const;

private:
    void set_up(const CertificateOptions& options);
    void add_extension(int nid, const std::string& value, X509* issuer);

    std::shared_ptr<EVP_PKEY> key_;
    std::shared_ptr<X509> certificate_;
};

// A directory for one test.
class Directory {
public:
    Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory();

    // Returns the path of the new file.
    std::string write(const std::string& name, const std::string& content) const;
    // A file with a certificate and its key.
    std::string write(const std::string& name, const Certificate& certificate) const;
    std::string path(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

}  // namespace tls
