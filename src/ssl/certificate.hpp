// A certificate of OpenSSL's as the SSLCertificate that programs get.
#pragma once

#include <asyncio/ssl.hpp>

#include "ssl/openssl_types.hpp"

namespace asyncio::inline v0 {
namespace ssl::detail {

SSLCertificate describe(const X509* certificate);
// Names that are none of the four kinds are left out.
SSLCertificate::Names alternative_names(const X509* certificate);

// 2030-12-31
std::string date_text(std::chrono::sys_seconds time);
std::chrono::sys_seconds time_of(const ASN1_TIME* time) noexcept;

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
