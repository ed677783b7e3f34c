// The demonstration site without its connections: reading requests, and what the pages answer.
#include "../../tools/cli/request_head.hpp"
#include "../../tools/cli/site_pages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

using asyncio::cli::Answer;
using asyncio::cli::BadRequest;
using asyncio::cli::find_head_end;
using asyncio::cli::parse_head;
using asyncio::cli::RequestHead;
using asyncio::cli::SitePages;

namespace {

RequestHead parse(const std::string& text) {
    EXPECT_EQ(find_head_end(text), text.size());
    return parse_head(text);
}

// 0 if the head is accepted.
int status_of(const std::string& text) {
    try {
        if (find_head_end(text) == text.npos) {
            return -1;
        }
        parse_head(text);
    } catch (const BadRequest& error) {
        return error.status();
    }
    return 0;
}

int status_of_field(const std::string& field) {
    return status_of("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n");
}

TEST(RequestHeads, the_usual_request_is_read) {
    const RequestHead head =
        parse("GET /bytes/5?x=1 HTTP/1.1\r\nHost: example\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(head.method, "GET");
    EXPECT_EQ(head.path, "/bytes/5");
    EXPECT_EQ(head.body_size, 3U);
    EXPECT_TRUE(head.keep_alive);
}

TEST(RequestHeads, the_absolute_form_names_the_same_page) {
    EXPECT_EQ(parse("GET http://host:80/a HTTP/1.1\r\nHost: host\r\n\r\n").path, "/a");
    EXPECT_EQ(parse("GET HTTP://host HTTP/1.1\r\nHost: host\r\n\r\n").path, "/");
}

TEST(RequestHeads, the_connection_stays_open_as_version_and_field_say) {
    const auto keeps = [](const std::string& version, const std::string& field) {
        return parse("GET / HTTP/" + version + "\r\nHost: x\r\n" + field + "\r\n").keep_alive;
    };
    EXPECT_TRUE(keeps("1.1", ""));
    EXPECT_FALSE(keeps("1.1", "Connection: foo, Close\r\n"));
    EXPECT_FALSE(keeps("1.0", ""));
    EXPECT_TRUE(keeps("1.0", "connection: Keep-Alive\r\n"));
    EXPECT_TRUE(keeps("1.1", "Connection: closed\r\n"));
}

TEST(RequestHeads, what_has_not_come_yet_is_waited_for) {
    const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_EQ(find_head_end(text.substr(0, size)), std::string::npos);
    }
    EXPECT_EQ(find_head_end(text + "GET"), text.size());
}

TEST(RequestHeads, what_is_ambiguous_is_refused) {
    for (const char* line :
         {"GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "G(T / HTTP/1.1",
          "GET x HTTP/1.1", "GET * HTTP/1.1", "", "GET", "GET / HTTQ/1.1"}) {
        EXPECT_EQ(status_of(std::string(line) + "\r\nHost: x\r\n\r\n"), 400) << line;
    }
    for (const char* field :
         {"NoColon", " Folded: x", "Space : x", ": x", "Host: y", "A: \x01", "Content-Length: -1",
          "Content-Length: 1x", "Content-Length:", "Content-Length: 1\r\nContent-Length: 2"}) {
        EXPECT_EQ(status_of_field(field), 400) << field;
    }
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
    EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(status_of_field("Transfer-Encoding: chunked"), 501);
    EXPECT_EQ(status_of_field("Content-Length: 1\r\nContent-Length: 1"), 0);
}

TEST(RequestHeads, what_is_too_long_is_refused_before_it_is_complete) {
    EXPECT_EQ(status_of("GET /" + std::string(8 * 1024, 'x')), 414);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + std::string(32 * 1024, 'x')), 431);
    std::string fields = "A: x";
    for (int i = 0; i < 100; ++i) {
        fields += "\r\nA: x";
    }
    EXPECT_EQ(status_of_field(fields), 431);
    EXPECT_EQ(status_of_field("Content-Length: 1048577"), 413);
    EXPECT_EQ(status_of_field("Content-Length: 99999999999999999999"), 413);
}

TEST(SitePages, numbers_are_checked) {
    SitePages pages(0);
    for (const char* path : {"/delay/x", "/delay/", "/delay", "/delay/-1", "/delay/600001",
                             "/status/199", "/status/600", "/flaky/101", "/bytes/1073741825",
                             "/bytes/1/2", "/redirect/1001", "/headers/1001"}) {
        EXPECT_EQ(pages.get(path).status, 400) << path;
    }
    EXPECT_EQ(pages.get("/nothing").status, 404);
    EXPECT_EQ(pages.get("").status, 404);
}

TEST(SitePages, every_page_answers_as_the_list_says) {
    SitePages pages(0);
    EXPECT_NE(pages.get("/").body.find("/redirect/N"), std::string::npos);
    EXPECT_EQ(pages.get("/delay/250").delay, std::chrono::milliseconds(250));
    EXPECT_EQ(pages.get("/bytes/1073741824").size(), std::uint64_t{1} << 30);
    EXPECT_EQ(pages.get("/status/418").status, 418);
    EXPECT_EQ(pages.get("/status/204").size(), 0U);
    EXPECT_EQ(pages.get("/redirect/2").fields, "Location: /redirect/1\r\n");
    EXPECT_EQ(pages.get("/redirect/0").status, 200);
    EXPECT_EQ(pages.get("/headers/2").fields, "X-Field-1: value-1\r\nX-Field-2: value-2\r\n");
}

std::string flaky_run(std::uint64_t seed) {
    SitePages pages(seed);
    std::string outcomes;
    for (int i = 0; i < 1000; ++i) {
        outcomes += pages.get("/flaky/30").status == 500 ? 'x' : '.';
    }
    return outcomes;
}

TEST(SitePages, flaky_fails_as_often_as_it_says_and_the_same_way_for_the_same_seed) {
    const std::string outcomes = flaky_run(7);
    EXPECT_EQ(outcomes, flaky_run(7));
    EXPECT_NE(outcomes, flaky_run(8));
    const auto failures = std::count(outcomes.begin(), outcomes.end(), 'x');
    EXPECT_GT(failures, 250);
    EXPECT_LT(failures, 350);
    SitePages pages(0);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(pages.get("/flaky/0").status, 200);
        EXPECT_EQ(pages.get("/flaky/100").status, 500);
    }
}

}  // namespace
