// What goes wrong between two peers, and whether the text helps.
#include "ssl_fixture.hpp"

using namespace ssl_tests;
using asyncio::SSLCertVerificationError;
using asyncio::SSLEOFError;
using asyncio::SSLError;
using asyncio::ValueError;
using ssl::TLSVersion;

namespace {

class SslErrors : public SslTest {
protected:
    // What the client says of a server with that certificate.
    std::string verify_error(const Certificate& certificate,
                             std::string_view server_hostname = "localhost") const {
        const Pair pair(*client_context(), *server_context(certificate), server_hostname);
        std::string text = text_of_error<SSLCertVerificationError>([&] { pair.handshake(); });
        EXPECT_FALSE(pair.client->outgoing().empty()) << "the alert";
        pair.deliver();
        EXPECT_ERROR(SSLError, tls::read(*pair.server), "alert");
        return text;
    }

    // What an end says to bytes that are no TLS.
    static std::string garbage_error(asyncio::SSLObject& object, std::string_view garbage) {
        object.do_handshake();
        tls::feed(object, tls::bytes_of(garbage));
        return text_of_error<SSLError>([&] { object.do_handshake(); });
    }
};

}  // namespace

TEST_F(SslErrors, a_self_signed_certificate) {
    EXPECT_EQ(verify_error(Certificate()),
              "certificate verify failed: self-signed certificate: if it is the peer's own, trust "
              "it with load_verify_locations");
    const Certificate own;
    const auto client =
        ssl::create_default_context(ssl::Purpose::server_auth, {.cadata = own.pem()});
    Pair(*client, *server_context(own)).handshake();
}

TEST_F(SslErrors, an_unknown_authority) {
    const Certificate unknown = make_authority("unknown");
    const std::string text = verify_error(Certificate({.issuer = &unknown}));
    EXPECT_NE(text.find("unable to get local issuer certificate: trust its authority"), text.npos)
        << text;
}

TEST_F(SslErrors, a_certificate_that_has_expired_or_is_not_yet_valid) {
    const std::string expired =
        verify_error(Certificate({.first_day = -20000, .last_day = -10000, .issuer = &authority_}));
    EXPECT_NE(expired.find("certificate has expired: it was valid until 19"), expired.npos)
        << expired;
    const std::string early =
        verify_error(Certificate({.first_day = 5, .last_day = 9, .issuer = &authority_}));
    EXPECT_NE(early.find("not yet valid: it is valid from 2"), early.npos) << early;
}

TEST_F(SslErrors, a_certificate_for_another_name) {
    const Certificate certificate(
        {.subject_alt_name = "DNS:a.test,IP:127.0.0.1", .issuer = &authority_});
    EXPECT_EQ(verify_error(certificate, "b.test"),
              "certificate verify failed: hostname mismatch: the certificate is not valid for "
              "'b.test'; it is for 'a.test', '127.0.0.1'");
    EXPECT_EQ(verify_error(certificate, "::1"),
              "certificate verify failed: IP address mismatch: the certificate is not valid for "
              "'::1'; it is for 'a.test', '127.0.0.1'");
}

TEST_F(SslErrors, a_common_name_is_no_name) {
    const std::string text = verify_error(
        Certificate({.common_name = "localhost", .subject_alt_name = "", .issuer = &authority_}));
    EXPECT_NE(text.find("no subjectAltName"), text.npos) << text;
}

TEST_F(SslErrors, verification_errors_have_their_code_and_message) {
    const Pair pair(*client_context(), *server_context(Certificate()));
    try {
        pair.handshake();
        ADD_FAILURE() << "no error";
    } catch (const std::system_error& error) {
        const auto& refused = dynamic_cast<const SSLCertVerificationError&>(error);
        EXPECT_EQ(refused.verify_code(), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        EXPECT_EQ(refused.verify_message(), "self-signed certificate");
        EXPECT_EQ(refused.reason(), "certificate verify failed: self-signed certificate");
        EXPECT_EQ(refused.code().value(), 1) << "SSL_ERROR_SSL, as Python's errno";
        EXPECT_STREQ(refused.code().category().name(), "ssl");
    }
}

TEST_F(SslErrors, without_verification_anybody_may_be_the_peer) {
    const auto client = client_context();
    EXPECT_ERROR(ValueError, client->set_verify_mode(ssl::VerifyMode::none), "check_hostname");
    client->set_check_hostname(false);
    Pair(*client, *server_context(Certificate({.issuer = &authority_})), "b.test").handshake();
    const auto anybody = client_context();
    anybody->set_check_hostname(false);
    anybody->set_verify_mode(ssl::VerifyMode::none);
    Pair(*anybody, *server_context(Certificate()), "b.test").handshake();
    Pair(*anybody, *server_context(Certificate()), "").handshake();
}

TEST_F(SslErrors, a_missing_client_certificate_is_explained_on_both_sides) {
    for (const TLSVersion version : {TLSVersion::TLSv1_2, TLSVersion::TLSv1_3}) {
        const auto server = server_context();
        server->load_verify_locations({.cadata = authority_.pem()});
        server->set_verify_mode(ssl::VerifyMode::required);
        server->set_maximum_version(version);
        const Pair pair(*client_context(), *server);
        EXPECT_ERROR(SSLError, pair.handshake(), "load_cert_chain");
        pair.deliver();
        EXPECT_ERROR(SSLError, tls::read(*pair.client), "load_cert_chain");
    }
}

TEST_F(SslErrors, a_clients_certificate_of_an_unknown_authority) {
    const auto server = server_context();
    server->load_verify_locations({.cadata = authority_.pem()});
    server->set_verify_mode(ssl::VerifyMode::optional);
    const auto client = client_context();
    client->load_cert_chain(directory_.write("client.pem", Certificate()));
    const Pair pair(*client, *server);
    EXPECT_ERROR(SSLCertVerificationError, pair.handshake(), "self-signed certificate");
    pair.deliver();
    EXPECT_ERROR(SSLError, tls::read(*pair.client), "this side's certificate");
}

TEST_F(SslErrors, no_version_in_common) {
    const auto client = client_context();
    client->set_minimum_version(TLSVersion::TLSv1_3);
    const auto server = server_context();
    server->set_maximum_version(TLSVersion::TLSv1_2);
    const Pair pair(*client, *server);
    EXPECT_ERROR(SSLError, pair.handshake(), "no version of TLS in common");
    pair.deliver();
    EXPECT_ERROR(SSLError, pair.client->do_handshake(), "no version of TLS in common");
}

TEST_F(SslErrors, no_cipher_in_common) {
    const auto client = client_context();
    client->set_maximum_version(TLSVersion::TLSv1_2);
    client->set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256");
    const auto server = server_context();
    server->set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384");
    const Pair pair(*client, *server);
    EXPECT_ERROR(SSLError, pair.handshake(), "no cipher in common");
    pair.deliver();
    EXPECT_ERROR(SSLError, pair.client->do_handshake(), "handshake failure");
}

TEST_F(SslErrors, a_peer_that_speaks_plain_http) {
    const Pair pair(*client_context(), *server_context());
    EXPECT_NE(garbage_error(*pair.server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").find("https://"),
              std::string::npos);
    const std::string text = garbage_error(*pair.client, "HTTP/1.1 400 Bad Request\r\n\r\n");
    EXPECT_NE(text.find("does not speak TLS"), text.npos) << text;
}

TEST_F(SslErrors, garbage_instead_of_a_handshake) {
    for (const std::string& garbage :
         {std::string(100, '\0'), std::string(100, '\xff'), std::string("SSH-2.0-OpenSSH_9.2\r\n"),
          std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff", 10)}) {
        const Pair pair(*client_context(), *server_context());
        for (asyncio::SSLObject* const end : {pair.server.get(), pair.client.get()}) {
            EXPECT_NE(garbage_error(*end, garbage).find(": "), std::string::npos) << "a remedy";
        }
    }
}

TEST_F(SslErrors, an_end_during_the_handshake) {
    const Pair pair(*client_context(), *server_context());
    pair.client->do_handshake();
    pair.client->feed_eof();
    EXPECT_ERROR(SSLEOFError, pair.client->do_handshake(), "during the handshake");
}

TEST_F(SslErrors, a_connection_outlives_its_contexts) {
    auto client = client_context();
    auto server = server_context();
    const Pair pair(*client, *server);
    client.reset();
    server.reset();
    pair.handshake();
}
