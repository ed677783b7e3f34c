// Reading certificates.
#include "ssl/certificate.hpp"

#include "ssl/error.hpp"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/objects.h>

#include <array>
#include <cstdio>
#include <ctime>

namespace asyncio::inline v0 {
namespace ssl::detail {

namespace {

using OwnedNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using OwnedNumber = std::unique_ptr<BIGNUM, Free<BN_free>>;

std::string bytes_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

// Whatever its encoding; what cannot be converted is shown as it is.
std::string utf8_of(const ASN1_STRING* string) {
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, string);
    if (size < 0) {
        return bytes_of(string);
    }
    const OwnedText owner(reinterpret_cast<char*>(text));
    return {owner.get(), static_cast<std::size_t>(size)};
}

SSLCertificate::Names names_of(const X509_NAME* name) {
    SSLCertificate::Names names;
    for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
        const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
        std::array<char, 128> kind{};
        OBJ_obj2txt(kind.data(), static_cast<int>(kind.size()), X509_NAME_ENTRY_get_object(entry),
                    0);
        names.emplace_back(kind.data(), utf8_of(X509_NAME_ENTRY_get_data(entry)));
    }
    return names;
}

std::string ip_text(const ASN1_OCTET_STRING* address) {
    const int size = ASN1_STRING_length(address);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if ((size != 4 && size != 16) ||
        inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text.data(),
                  text.size()) == nullptr) {
        return "<invalid>";
    }
    return text.data();
}

std::string hexadecimal(const ASN1_INTEGER* number) {
    const OwnedNumber value(ASN1_INTEGER_to_BN(number, nullptr));
    check(value != nullptr);
    const OwnedText text(BN_bn2hex(value.get()));
    check(text != nullptr);
    return text.get();
}

std::string der_of(const X509* certificate) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate, &bytes);
    check(size > 0);
    const OwnedText owner(reinterpret_cast<char*>(bytes));
    return {owner.get(), static_cast<std::size_t>(size)};
}

}  // namespace

std::chrono::sys_seconds time_of(const ASN1_TIME* time) noexcept {
    std::tm fields{};
    if (ASN1_TIME_to_tm(time, &fields) != 1) {
        return {};
    }
    return std::chrono::sys_seconds(std::chrono::seconds(timegm(&fields)));
}

std::string date_text(std::chrono::sys_seconds time) {
    const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(time));
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    return text.data();
}

SSLCertificate::Names alternative_names(const X509* certificate) {
    SSLCertificate::Names names;
    const OwnedNames list(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; i < sk_GENERAL_NAME_num(list.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(list.get(), i);
        switch (name->type) {
        case GEN_DNS:
            names.emplace_back("DNS", bytes_of(name->d.dNSName));
            break;
        case GEN_IPADD:
            names.emplace_back("IP Address", ip_text(name->d.iPAddress));
            break;
        case GEN_EMAIL:
            names.emplace_back("email", bytes_of(name->d.rfc822Name));
            break;
        case GEN_URI:
            names.emplace_back("URI", bytes_of(name->d.uniformResourceIdentifier));
            break;
        default:
            break;
        }
    }
    return names;
}

SSLCertificate describe(const X509* certificate) {
    SSLCertificate result;
    result.subject = names_of(X509_get_subject_name(certificate));
    result.issuer = names_of(X509_get_issuer_name(certificate));
    result.version = static_cast<int>(X509_get_version(certificate)) + 1;
    result.serialNumber = hexadecimal(X509_get0_serialNumber(certificate));
    result.notBefore = time_of(X509_get0_notBefore(certificate));
    result.notAfter = time_of(X509_get0_notAfter(certificate));
    result.subjectAltName = alternative_names(certificate);
    result.der = der_of(certificate);
    return result;
}

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
