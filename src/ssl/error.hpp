// What OpenSSL reports, as exceptions.
#pragma once

#include "ssl/openssl_types.hpp"

#include <string>
#include <string_view>

namespace asyncio::inline v0 {
namespace ssl::detail {

// Called before what may fail: OpenSSL keeps a list of errors for each thread.
void forget_errors() noexcept;

// The following raise what OpenSSL has reported since, and forget it.

// Does so unless the call succeeded.
void check(bool success);
// What was wrong with a connection. `verify_remedy` is of the certificate that was refused, if one
// was.
[[noreturn]] void throw_connection_error(const SSL* connection, bool handshake_done,
                                         const std::string& verify_remedy);
// What was wrong with the file of that name, or with what is called so: "the key in 'x.pem'".
[[noreturn]] void throw_file_error(const std::string& name);

// What can be done about a certificate that was refused.
std::string verify_remedy(std::string_view server_hostname, int verify_code,
                          const X509* certificate);

}  // namespace ssl::detail
}  // namespace asyncio::inline v0
