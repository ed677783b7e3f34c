// Makes certificates for one test: peers_certificates FOLDER.
#include "../tls/certificates.hpp"

#include <fstream>

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path) << text;
}

}  // namespace

int main(int, char** argv) {
    const std::filesystem::path folder = argv[1];
    const tls::Certificate authority(
        {.common_name = "authority", .subject_alt_name = "", .is_authority = true});
    write(folder / "authority.pem", authority.pem());
    const auto issue = [&](const std::string& name, const std::string& alt_name) {
        const tls::Certificate issued(
            {.common_name = name, .subject_alt_name = alt_name, .issuer = &authority});
        write(folder / (name + ".pem"), issued.pem() + issued.key_pem());
    };
    issue("server", "DNS:localhost,IP:127.0.0.1,IP:10.77.0.2");
    issue("elsewhere", "DNS:elsewhere.example");
    issue("client", "DNS:client.example");
}
