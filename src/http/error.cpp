// The exception classes, and the texts for what libcurl and getaddrinfo report.
#include "http/error.hpp"

#include <asyncio/http.hpp>
#include <asyncio/names.hpp>

#include "http/text.hpp"

#include <netdb.h>

#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>

namespace asyncio::inline v0 {
namespace http {

Error::Error(ErrorKind kind, std::string url, std::string problem)
    : asyncio::Error(url + ": " + problem), kind_(kind), url_(std::move(url)),
      problem_(std::move(problem)) {}
Error::~Error() = default;

TimeoutError::TimeoutError(std::string url, std::string problem)
    : asyncio::TimeoutError(url + ": " + problem), url_(std::move(url)),
      problem_(std::move(problem)) {}
TimeoutError::~TimeoutError() = default;

namespace detail {

namespace {

struct Explanation {
    ErrorKind kind;
    std::string problem;
};

std::string os_words(int os_error) { return std::generic_category().message(os_error); }

std::string connect_problem(const Failure& failure) {
    switch (failure.os_error) {
    case ECONNREFUSED:
        return "connection refused: check that the server runs and listens on this port";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "the host cannot be reached: check the address and the network";
    case EMFILE:
    case ENFILE:
        return "no file descriptor is left for a connection: raise 'ulimit -n', or lower the "
               "client's limit";
    case EADDRNOTAVAIL:
        return "no local port is left for a connection: lower the client's limit, so that "
               "connections are used again";
    default:
        return "cannot connect: " +
               (failure.os_error != 0 ? os_words(failure.os_error) : failure.words);
    }
}

Explanation explain(const Failure& failure) {
    switch (failure.code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return {ErrorKind::cannot_connect, connect_problem(failure)};
    case CURLE_PEER_FAILED_VERIFICATION:
        return {ErrorKind::tls,
                "the server's certificate cannot be trusted (" + failure.words +
                    "): if it is your own, name its authority in ClientOptions::ca_file"};
    case CURLE_SSL_CACERT_BADFILE:
        return {ErrorKind::tls, "the certificates to trust cannot be read: " + failure.words};
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        return {ErrorKind::tls, "TLS failed (" + failure.words +
                                    "): check that the server speaks https on this port"};
    case CURLE_GOT_NOTHING:
        return {ErrorKind::bad_response, "the server closed the connection without an answer"};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        // libcurl has no code of its own for these.
        if (failure.words.find("chunk") != std::string::npos) {
            return {ErrorKind::bad_response,
                    "the body does not come in chunks as its header says: " + failure.words};
        }
        return {ErrorKind::bad_response,
                "the connection broke before the answer was complete: " + failure.words};
    case CURLE_BAD_CONTENT_ENCODING:
        return {ErrorKind::bad_response,
                "the body is not compressed as its header says: " + failure.words};
    case CURLE_FILESIZE_EXCEEDED:
        return {ErrorKind::too_large, "the body is larger than the limit of " +
                                          std::to_string(failure.size_max) +
                                          " bytes: raise max_size if that is wanted"};
    default:
        return {ErrorKind::bad_response, "the answer is no valid HTTP: " + failure.words};
    }
}

}  // namespace

std::exception_ptr transfer_exception(const std::string& url, const Failure& failure) {
    if (failure.code == CURLE_OUT_OF_MEMORY) {
        return std::make_exception_ptr(std::bad_alloc());
    }
    if (failure.code == CURLE_OPERATION_TIMEDOUT) {
        return std::make_exception_ptr(
            TimeoutError(url, "no connection within " + in_words(failure.connect_timeout) +
                                  ": the host does not answer, or needs a longer connect_timeout"));
    }
    Failure known = failure;
    known.words = failure.words.empty() ? curl_easy_strerror(known.code)
                                        : printable(failure.words);  // parts are the server's
    Explanation explanation = explain(known);
    return std::make_exception_ptr(Error(explanation.kind, url, std::move(explanation.problem)));
}

void rethrow_lookup_error(const std::string& url, const std::string& name,
                          const std::exception_ptr& error) {
    std::string problem;
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error& failed) {
        const bool is_gai = failed.code().category() == gaierror::category();
        const int code = is_gai ? failed.code().value() : EAI_SYSTEM;
        if (code == EAI_NONAME || code == EAI_NODATA) {
            problem = "the name '" + name + "' has no address: check its spelling";
        } else if (code == EAI_AGAIN) {
            problem = "no name server answered for '" + name + "': check the network, or try again";
        } else {
            problem = "the name '" + name + "' cannot be looked up: " + failed.code().message();
        }
    }
    throw Error(ErrorKind::name_not_found, url, std::move(problem));
}

std::string in_words(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%g s", std::chrono::duration<double>(duration).count());
    return text;
}

}  // namespace detail
}  // namespace http
}  // namespace asyncio::inline v0
