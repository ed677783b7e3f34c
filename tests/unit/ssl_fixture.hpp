// Contexts for tests of TLS, and checks of its errors.
#pragma once

#include <asyncio/exceptions.hpp>
#include <asyncio/openssl.hpp>

#include "../tls/certificates.hpp"
#include "../tls/pair.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace ssl_tests {

namespace ssl = asyncio::ssl;
using tls::Certificate;
using tls::Pair;

// An authority, a server's certificate from it, and contexts with them.
class SslTest : public ::testing::Test {
protected:
    static Certificate make_authority(const std::string& name) {
        return Certificate({.common_name = name, .subject_alt_name = "", .is_authority = true});
    }

    std::shared_ptr<ssl::Context> client_context() const {
        return ssl::create_default_context(ssl::Purpose::server_auth, {.cadata = authority_.pem()});
    }
    std::shared_ptr<ssl::Context> server_context() const {
        return server_context(Certificate({.issuer = &authority_}));
    }
    std::shared_ptr<ssl::Context> server_context(const Certificate& certificate) const {
        auto context = ssl::create_default_context(ssl::Purpose::client_auth);
        context->load_cert_chain(directory_.write("server.pem", certificate));
        return context;
    }

    const tls::Directory directory_;
    const Certificate authority_ = make_authority("authority");
};

// What `call` raises, as text; a failure if it raises nothing, or something else.
template <class Error, class Call>
std::string text_of_error(Call call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    } catch (const std::exception& error) {
        ADD_FAILURE() << "another error: " << error.what();
        return {};
    }
    ADD_FAILURE() << "no error";
    return {};
}

}  // namespace ssl_tests

// Requires that `call` raises an error whose text contains `text`.
#define EXPECT_ERROR(Error, call, text)                                                  \
    do {                                                                                 \
        const std::string what = ssl_tests::text_of_error<Error>([&] { (void)(call); }); \
        EXPECT_NE(what.find(text), what.npos) << what;                                   \
    } while (false)
