// Handshakes: how they are cut in pieces, what they agree on, and what later ones take from them.
#include "random_seed.hpp"
#include "ssl_fixture.hpp"

#include <random>
#include <thread>
#include <vector>

using namespace ssl_tests;
using asyncio::SSLCertVerificationError;
using asyncio::SSLError;
using ssl::TLSVersion;

namespace {

class SslHandshake : public SslTest {
protected:
    // Handshakes of both versions, then a message each way.
    void talk(const tls::Chunk& chunk) const {
        for (const auto& [version, name] : {std::pair(TLSVersion::TLSv1_2, "TLSv1.2"),
                                            std::pair(TLSVersion::TLSv1_3, "TLSv1.3")}) {
            const auto client = client_context();
            client->set_maximum_version(version);
            const Pair pair(*client, *server_context());
            EXPECT_EQ(pair.client->version(), "");
            EXPECT_FALSE(pair.client->cipher());
            EXPECT_FALSE(pair.client->getpeercert());
            pair.handshake(chunk);
            EXPECT_EQ(pair.client->version(), name);
            EXPECT_EQ(pair.server->version(), name);
            EXPECT_EQ(pair.client->cipher()->name, pair.server->cipher()->name);
            EXPECT_EQ(pair.client->cipher()->protocol, name);
            EXPECT_GE(pair.client->cipher()->bits, 128);
            tls::write(*pair.client, "hello");
            pair.deliver(chunk);
            EXPECT_EQ(tls::read(*pair.server).text, "hello");
            tls::write(*pair.server, "you");
            pair.deliver(chunk);
            EXPECT_EQ(tls::read(*pair.client).text, "you");
        }
    }

    // Whether the second of two connections is resumed on both sides.
    static bool resumes(const ssl::Context& client, const ssl::Context& server,
                        std::string_view second_name = "localhost") {
        Pair(client, server).handshake();
        const Pair second(client, server, second_name);
        second.handshake();
        EXPECT_EQ(second.client->session_reused(), second.server->session_reused());
        EXPECT_TRUE(second.client->getpeercert());
        return second.client->session_reused();
    }
};

}  // namespace

TEST_F(SslHandshake, both_versions_work_with_flights_in_one_piece) { talk(tls::everything); }

TEST_F(SslHandshake, both_versions_work_byte_by_byte) {
    talk([] { return std::size_t{1}; });
}

TEST_F(SslHandshake, both_versions_work_in_random_pieces) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    talk([&random]() -> std::size_t { return 1 + random() % (random() % 2 == 0 ? 10 : 1000); });
}

TEST_F(SslHandshake, the_peers_certificate_is_described) {
    const Certificate certificate(
        {.common_name = "näme",
         .subject_alt_name = "DNS:localhost,IP:127.0.0.1,IP:::1,email:a@b.c,URI:x://y",
         .issuer = &authority_});
    const Pair pair(*client_context(), *server_context(certificate));
    pair.handshake();
    const auto described = pair.client->getpeercert();
    ASSERT_TRUE(described);
    using Names = asyncio::SSLCertificate::Names;
    EXPECT_EQ(described->subject, (Names{{"commonName", "näme"}}));
    EXPECT_EQ(described->issuer, (Names{{"commonName", "authority"}}));
    EXPECT_EQ(described->version, 3);
    EXPECT_EQ(described->subjectAltName, (Names{{"DNS", "localhost"},
                                                {"IP Address", "127.0.0.1"},
                                                {"IP Address", "::1"},
                                                {"email", "a@b.c"},
                                                {"URI", "x://y"}}));
    EXPECT_EQ(described->notAfter - described->notBefore, std::chrono::days(2));
    EXPECT_LT(described->notBefore, std::chrono::system_clock::now());
    EXPECT_FALSE(described->serialNumber.empty());
    EXPECT_EQ(described->der, certificate.der());
    EXPECT_FALSE(pair.server->getpeercert()) << "the client showed none";
}

TEST_F(SslHandshake, the_server_chooses_the_protocol_it_likes_best) {
    const auto client = client_context();
    client->set_alpn_protocols({"http/1.1", "h2"});
    const auto server = server_context();
    server->set_alpn_protocols({"h3", "h2", "http/1.1"});
    const Pair pair(*client, *server);
    EXPECT_EQ(pair.client->selected_alpn_protocol(), "");
    pair.handshake();
    EXPECT_EQ(pair.client->selected_alpn_protocol(), "h2");
    EXPECT_EQ(pair.server->selected_alpn_protocol(), "h2");
}

TEST_F(SslHandshake, without_a_common_protocol_there_is_none) {
    const auto client = client_context();
    client->set_alpn_protocols({"h2"});
    const auto server = server_context();
    server->set_alpn_protocols({"smtp"});
    const Pair pair(*client, *server);
    pair.handshake();
    EXPECT_EQ(pair.client->selected_alpn_protocol(), "");
    EXPECT_THROW(ssl::Context(ssl::Purpose::server_auth).set_alpn_protocols({""}),
                 asyncio::ValueError);
}

TEST_F(SslHandshake, the_name_that_a_client_asks_for_chooses_the_certificate) {
    const auto other = server_context(Certificate(
        {.common_name = "other", .subject_alt_name = "DNS:b.test", .issuer = &authority_}));
    other->set_alpn_protocols({"b"});
    const auto server = server_context();
    std::vector<std::string> asked;
    server->set_sni_callback([&](std::string_view name) {
        asked.emplace_back(name);
        return name == "b.test" ? other : nullptr;
    });
    const auto client = client_context();
    client->set_alpn_protocols({"b"});
    const Pair chosen(*client, *server, "b.test");
    chosen.handshake();
    EXPECT_EQ(chosen.client->getpeercert()->subject[0].second, "other");
    EXPECT_EQ(chosen.client->selected_alpn_protocol(), "b");
    EXPECT_EQ(chosen.server->server_hostname(), "b.test");
    EXPECT_EQ(chosen.client->server_hostname(), "b.test");
    const Pair asking(*client, *server, "localhost");
    asking.handshake();
    EXPECT_EQ(asking.client->getpeercert()->subject[0].second, "test");
    const Pair address(*client, *server, "127.0.0.1");
    address.handshake();
    EXPECT_EQ(address.server->server_hostname(), "") << "addresses are not sent";
    EXPECT_EQ(asked, (std::vector<std::string>{"b.test", "localhost", ""}));
}

TEST_F(SslHandshake, what_an_sni_callback_throws_ends_the_handshake) {
    const auto server = server_context();
    server->set_sni_callback([](std::string_view) -> std::shared_ptr<const ssl::Context> {
        throw std::out_of_range("no such name");
    });
    const Pair pair(*client_context(), *server);
    EXPECT_THROW(pair.handshake(), std::out_of_range);
    pair.deliver();
    EXPECT_ERROR(SSLError, pair.client->do_handshake(), "internal error");
    EXPECT_THROW(pair.server->do_handshake(), std::out_of_range) << "and again";
}

TEST_F(SslHandshake, a_chosen_context_is_asked_for_the_clients_certificate) {
    const auto strict = server_context();
    strict->load_verify_locations({.cadata = authority_.pem()});
    strict->set_verify_mode(ssl::VerifyMode::required);
    const auto server = server_context();
    server->set_sni_callback(
        [&](std::string_view name) { return name == "localhost" ? nullptr : strict; });
    const auto client = client_context();
    // Nothing that was agreed with the one context opens the other.
    Pair(*client, *server, "localhost").handshake();
    const Pair pair(*client, *server, "127.0.0.1");
    EXPECT_ERROR(SSLError, pair.handshake(), "peer did not return a certificate");
}

TEST_F(SslHandshake, a_session_of_one_context_does_not_open_another) {
    const auto strict = server_context();
    strict->load_verify_locations({.cadata = authority_.pem()});
    strict->set_verify_mode(ssl::VerifyMode::required);
    const auto server = server_context();
    bool is_strict = false;
    server->set_sni_callback([&](std::string_view) { return is_strict ? strict : nullptr; });
    for (const TLSVersion version : {TLSVersion::TLSv1_2, TLSVersion::TLSv1_3}) {
        const auto client = client_context();
        client->set_maximum_version(version);
        is_strict = false;
        Pair(*client, *server).handshake();
        is_strict = true;
        const Pair pair(*client, *server);
        EXPECT_ERROR(SSLError, pair.handshake(), "peer did not return a certificate");
    }
}

TEST_F(SslHandshake, a_clients_certificate_can_be_required_or_optional) {
    const auto server = server_context();
    server->load_verify_locations({.cadata = authority_.pem()});
    server->set_verify_mode(ssl::VerifyMode::optional);
    const auto client = client_context();
    client->load_cert_chain(directory_.write(
        "client.pem", Certificate({.common_name = "client", .issuer = &authority_})));
    const Pair with(*client, *server);
    with.handshake();
    EXPECT_EQ(with.server->getpeercert()->subject[0].second, "client");
    const Pair without(*client_context(), *server);
    without.handshake();
    EXPECT_FALSE(without.server->getpeercert());
}

TEST_F(SslHandshake, the_second_connection_is_resumed) {
    for (const TLSVersion version : {TLSVersion::TLSv1_2, TLSVersion::TLSv1_3}) {
        const auto client = client_context();
        client->set_maximum_version(version);
        const auto server = server_context();
        EXPECT_TRUE(resumes(*client, *server));
        EXPECT_TRUE(resumes(*client, *server)) << "as often as one likes";
        const Pair elsewhere(*client, *server_context());
        elsewhere.handshake();
        EXPECT_FALSE(elsewhere.client->session_reused()) << "another server cannot read tickets";
    }
}

TEST_F(SslHandshake, a_session_is_for_the_name_that_it_was_made_for) {
    EXPECT_FALSE(resumes(*client_context(), *server_context(), "127.0.0.1"));
}

TEST_F(SslHandshake, resumption_can_be_switched_off_on_either_side) {
    const auto client = client_context();
    client->set_session_resumption(false);
    EXPECT_FALSE(resumes(*client, *server_context()));
    const auto server = server_context();
    server->set_session_resumption(false);
    EXPECT_FALSE(resumes(*client_context(), *server));
}

TEST_F(SslHandshake, threads_may_share_contexts) {
    const auto client = client_context();
    const auto server = server_context();
    server->set_sni_callback([](std::string_view) { return nullptr; });
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int j = 0; j < 5; ++j) {
                const Pair pair(*client, *server, j % 2 == 0 ? "localhost" : "127.0.0.1");
                pair.handshake();
                tls::write(*pair.client, "hello");
                pair.deliver();
                EXPECT_EQ(tls::read(*pair.server).text, "hello");
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}
