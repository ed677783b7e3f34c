// The exceptions of TLS, and the key functions of its classes.
#include <asyncio/ssl.hpp>

namespace asyncio::inline v0 {

namespace {

// The values that Python's ssl module gives to `errno`.
constexpr int ssl_error_ssl = 1;
constexpr int ssl_error_eof = 8;

constexpr std::string_view verify_failed = "certificate verify failed: ";

class SSLCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "ssl"; }
    std::string message(int value) const override {
        return value == ssl_error_eof ? "the end of a TLS connection was not announced"
                                      : "TLS failed";
    }
};

const std::error_category& ssl_category() noexcept {
    static const SSLCategory category;
    return category;
}

}  // namespace

// Shared, because copying an exception must not throw.
struct SSLError::Text {
    std::string reason;
    std::string what;
};

SSLError::SSLError(int python_errno, std::string reason, std::string_view remedy)
    : std::system_error(python_errno, ssl_category()) {
    std::string what = reason;
    if (!remedy.empty()) {
        what.append(": ").append(remedy);
    }
    text_ = std::make_shared<Text>(std::move(reason), std::move(what));
}
SSLError::SSLError(std::string reason, std::string_view remedy)
    : SSLError(ssl_error_ssl, std::move(reason), remedy) {}
SSLError::SSLError(const SSLError&) noexcept = default;
SSLError::~SSLError() = default;

const char* SSLError::what() const noexcept { return text_->what.c_str(); }

const std::string& SSLError::reason() const noexcept { return text_->reason; }

SSLCertVerificationError::SSLCertVerificationError(int verify_code,
                                                   const std::string& verify_message,
                                                   std::string_view remedy)
    : SSLError(std::string(verify_failed) + verify_message, remedy), verify_code_(verify_code) {}
SSLCertVerificationError::SSLCertVerificationError(const SSLCertVerificationError&) noexcept =
    default;
SSLCertVerificationError::~SSLCertVerificationError() = default;

std::string_view SSLCertVerificationError::verify_message() const noexcept {
    return std::string_view(reason()).substr(verify_failed.size());
}

SSLEOFError::SSLEOFError(std::string_view remedy)
    : SSLError(ssl_error_eof, "EOF occurred in violation of protocol", remedy) {}
SSLEOFError::~SSLEOFError() = default;

SSLObject::~SSLObject() = default;
SSLContext::~SSLContext() = default;

}  // namespace asyncio::inline v0
