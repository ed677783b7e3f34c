// Setting contexts up.
#include "ssl_fixture.hpp"

#include <fstream>
#include <sstream>

using namespace ssl_tests;
using asyncio::RuntimeError;
using asyncio::SSLError;
using asyncio::ValueError;
using ssl::Context;
using ssl::Purpose;
using ssl::VerifyFlags;
using ssl::VerifyMode;

namespace {

class SslContext : public SslTest {
protected:
    std::string write(const std::string& name, const std::string& content) const {
        return directory_.write(name, content);
    }

    Context context_{Purpose::client_auth};
    const Certificate certificate_;
};

}  // namespace

TEST_F(SslContext, defaults_are_those_of_python) {
    const auto client = ssl::create_default_context();
    EXPECT_EQ(client->verify_mode(), VerifyMode::required);
    EXPECT_TRUE(client->check_hostname());
    EXPECT_EQ(client->verify_flags(), VerifyFlags::partial_chain | VerifyFlags::strict);
    const auto server = ssl::create_default_context(Purpose::client_auth);
    EXPECT_EQ(server->verify_mode(), VerifyMode::none);
    EXPECT_FALSE(server->check_hostname());
}

TEST_F(SslContext, a_key_may_be_in_a_file_of_its_own_and_encrypted) {
    context_.load_cert_chain(write("certificate.pem", certificate_.pem()),
                             write("key.pem", certificate_.key_pem("secret")), "secret");
}

TEST_F(SslContext, a_file_that_is_missing_is_named) {
    const std::string none = directory_.path("none.pem");
    EXPECT_ERROR(std::system_error, context_.load_cert_chain(none),
                 "cannot read the certificate in '" + none + "': No such file");
    EXPECT_ERROR(std::system_error,
                 context_.load_cert_chain(write("c.pem", certificate_.pem()), none),
                 "cannot read the key in '" + none + "': No such file");
    EXPECT_ERROR(std::system_error, context_.load_verify_locations({.cafile = none}),
                 "cannot read the authorities in '" + none + "': No such file");
    EXPECT_ERROR(std::system_error, context_.load_verify_locations({.capath = none}),
                 "cannot read the authorities in '" + none + "'");
    EXPECT_ERROR(std::system_error, context_.set_keylog_filename("/nowhere/keys"),
                 "cannot write the keys to '/nowhere/keys': No such file");
}

TEST_F(SslContext, a_file_that_is_no_pem_is_named) {
    const std::string file = write("text.pem", "hello");
    EXPECT_ERROR(SSLError, context_.load_cert_chain(file),
                 "the certificate in '" + file + "' is not in the format PEM");
    EXPECT_ERROR(SSLError, context_.load_cert_chain(write("c.pem", certificate_.pem()), file),
                 "the key in '" + file + "' is not in the format PEM");
    EXPECT_ERROR(SSLError, context_.load_verify_locations({.cafile = file}),
                 "the authorities in '" + file + "' is not in the format PEM");
    EXPECT_ERROR(SSLError, context_.load_verify_locations({.cadata = "hello"}),
                 "neither in PEM nor in DER");
}

TEST_F(SslContext, a_key_that_does_not_fit_is_explained) {
    const std::string certificate = write("c.pem", certificate_.pem());
    EXPECT_ERROR(SSLError,
                 context_.load_cert_chain(certificate, write("k.pem", Certificate().key_pem())),
                 "is not that of the certificate in '" + certificate + "'");
    EXPECT_ERROR(SSLError, context_.load_cert_chain(certificate), "the key in");
}

TEST_F(SslContext, passwords_are_asked_of_nobody) {
    const std::string certificate = write("c.pem", certificate_.pem());
    const std::string key = write("k.pem", certificate_.key_pem("secret"));
    EXPECT_ERROR(SSLError, context_.load_cert_chain(certificate, key), "needs a password");
    EXPECT_ERROR(SSLError, context_.load_cert_chain(certificate, key, "guess"),
                 "the password does not open the key in '" + key + "'");
}

TEST_F(SslContext, authorities_come_from_files_directories_and_data) {
    const std::string file = write("a.pem", authority_.pem());
    const auto server = server_context();
    for (const ssl::VerifyLocations& locations :
         {ssl::VerifyLocations{.cafile = file}, ssl::VerifyLocations{.cadata = authority_.der()},
          ssl::VerifyLocations{.cadata = certificate_.pem() + authority_.pem()}}) {
        Pair(*ssl::create_default_context(Purpose::server_auth, locations), *server).handshake();
    }
    ASSERT_EQ(std::system(("openssl rehash " + file.substr(0, file.rfind('/'))).c_str()), 0);
    const auto client = ssl::create_default_context(Purpose::server_auth,
                                                    {.capath = file.substr(0, file.rfind('/'))});
    Pair(*client, *server).handshake();
}

TEST_F(SslContext, the_systems_authorities_are_trusted_unless_others_are_named) {
    const auto server = server_context();
    ::setenv("SSL_CERT_FILE", write("a.pem", authority_.pem()).c_str(), 1);
    Pair(*ssl::create_default_context(), *server).handshake();
    const auto others =
        ssl::create_default_context(Purpose::server_auth, {.cadata = certificate_.pem()});
    EXPECT_THROW(Pair(*others, *server).handshake(), asyncio::SSLCertVerificationError);
    ::unsetenv("SSL_CERT_FILE");
}

TEST_F(SslContext, nothing_changes_once_it_is_used) {
    const auto context = client_context();
    EXPECT_TRUE(context->wrap_bio(false, "localhost"));
    EXPECT_ERROR(RuntimeError, context->set_alpn_protocols({"h2"}), "in use");
    EXPECT_ERROR(RuntimeError, context->load_default_certs(), "in use");
}

TEST_F(SslContext, each_side_has_its_own_contexts) {
    EXPECT_ERROR(ValueError, client_context()->wrap_bio(true, {}), "client_auth");
    EXPECT_ERROR(ValueError, server_context()->wrap_bio(false, "localhost"), "server_auth");
    EXPECT_ERROR(ValueError, context_.wrap_bio(true, {}), "needs a certificate");
    EXPECT_ERROR(ValueError, server_context()->wrap_bio(true, "localhost"), "for clients only");
    const auto server = server_context();
    server->set_sni_callback([&](std::string_view) { return client_context(); });
    EXPECT_ERROR(ValueError, Pair(*client_context(), *server).handshake(), "client_auth");
}

TEST_F(SslContext, names_that_cannot_be_a_hosts_are_refused) {
    const auto client = client_context();
    EXPECT_ERROR(ValueError, client->wrap_bio(false, ""), "server_hostname is missing");
    for (const std::string& name :
         {std::string("bücher.test"), std::string(".test"), std::string("a b"),
          std::string("a\0b", 3), std::string(300, 'a')}) {
        EXPECT_ERROR(ValueError, client->wrap_bio(false, name), "neither a name nor");
    }
}

TEST_F(SslContext, ciphers_that_openssl_does_not_know_are_refused) {
    EXPECT_ERROR(SSLError, context_.set_ciphers("ROT13"), "no cipher match: OpenSSL knows no");
}

TEST_F(SslContext, secrets_are_written_only_where_it_was_asked_for) {
    const std::string file = directory_.path("keys.log");
    const auto client = client_context();
    client->set_keylog_filename(file);
    Pair(*client, *server_context()).handshake();
    std::ostringstream keys;
    keys << std::ifstream(file).rdbuf();
    EXPECT_NE(keys.str().find("CLIENT_HANDSHAKE_TRAFFIC_SECRET "), std::string::npos);
    EXPECT_TRUE(keys.str().ends_with('\n'));
    const auto permissions = std::filesystem::status(file).permissions();
    EXPECT_EQ(permissions,
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(SslContext, certificates_need_a_list_of_revoked_ones_if_that_is_asked_for) {
    const auto client = client_context();
    client->set_verify_flags(VerifyFlags::check_crls);
    EXPECT_ERROR(asyncio::SSLCertVerificationError, Pair(*client, *server_context()).handshake(),
                 "unable to get certificate CRL: load the list");
}
