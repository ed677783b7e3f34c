// The parts of `asyncio fetch` that need no network: names of files, files, lines, the bar.
#include "../../tools/cli/body_files.hpp"
#include "../../tools/cli/fetch_result.hpp"
#include "../../tools/cli/file_names.hpp"
#include "../../tools/cli/progress_bar.hpp"
#include "random_seed.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <system_error>

using asyncio::cli::BodyFile;
using asyncio::cli::Directory;
using asyncio::cli::FetchResult;
using asyncio::cli::file_name_of;
using asyncio::cli::json_line;
using asyncio::cli::NameBook;
using asyncio::cli::progress_line;
using asyncio::cli::shortened;
using asyncio::cli::Speed;
using asyncio::cli::text_line;

namespace fs = std::filesystem;

namespace {

void expect_safe(const std::string& name) {
    ASSERT_FALSE(name.empty());
    ASSERT_LE(name.size(), 200u);
    ASSERT_NE(name.front(), '.') << name;
    ASSERT_NE(name.front(), '-') << name;
    ASSERT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789._-=+,%~"),
              name.npos)
        << name;
    ASSERT_EQ(fs::path(name).filename(), name);
}

std::string content_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

// A directory of this test's own, inside one that must stay as it is.
class CliBodyFiles : public ::testing::Test {
protected:
    CliBodyFiles() {
        std::string pattern = (fs::temp_directory_path() / "asyncio-files-XXXXXX").string();
        outside_ = ::mkdtemp(pattern.data());
        inside_ = outside_ / "deep" / "dir";
    }
    ~CliBodyFiles() override { fs::remove_all(outside_); }

    std::set<std::string> files() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(inside_)) {
            names.insert(entry.path().filename());
        }
        return names;
    }

    fs::path outside_;
    fs::path inside_;
};

}  // namespace

TEST(CliFileNames, are_readable) {
    EXPECT_EQ(file_name_of("http://example.org/a/b.html?x=1"), "example.org_a_b.html_x=1");
    EXPECT_EQ(file_name_of("https://example.org"), "example.org");
    EXPECT_EQ(file_name_of("https://example.org//"), "example.org");
    EXPECT_EQ(file_name_of("http://user:secret@host:80/x#part"), "host_80_x");
    EXPECT_EQ(file_name_of("http://host/mail@example.org"), "host_mail_example.org");
    EXPECT_EQ(file_name_of("http://[::1]:8080/"), "___1__8080");
    EXPECT_EQ(file_name_of(""), "_");
    EXPECT_EQ(file_name_of("http://"), "_");
}

TEST(CliFileNames, never_leave_their_directory) {
    for (const std::string url : {"../../etc/passwd",
                                  "http://../../etc/passwd",
                                  "http://..",
                                  "http://.",
                                  "..",
                                  ".",
                                  "http://h/../../../x",
                                  "http://h/%2e%2e/%2f/x",
                                  "/etc/passwd",
                                  "file:///etc/passwd",
                                  "http:///abs",
                                  "http://-rf",
                                  "http://.hidden/x",
                                  "http://h/a\\..\\b",
                                  "C:\\x",
                                  "~root",
                                  "http://h/\xe2\x80\xae"
                                  "gpj.exe",
                                  "http://a@b@../x",
                                  "://",
                                  "@",
                                  "#",
                                  "?",
                                  "http://@/",
                                  "http://user@",
                                  "-o",
                                  "--",
                                  "http://h/a\nb\tc",
                                  "*",
                                  "$(reboot)",
                                  "`id`",
                                  ";rm -rf"}) {
        SCOPED_TRACE(url);
        expect_safe(file_name_of(url));
    }
    expect_safe(file_name_of(std::string("http://h/\0x", 11)));
}

TEST(CliFileNames, long_ones_are_cut_and_stay_different) {
    const std::string base = "http://h/" + std::string(5000, 'x');
    expect_safe(file_name_of(base));
    EXPECT_EQ(file_name_of(base).size(), 200u);
    EXPECT_NE(file_name_of(base + "1"), file_name_of(base + "2"));
    const std::string fits = "http://" + std::string(200, 'y');
    EXPECT_EQ(file_name_of(fits), std::string(200, 'y'));
}

TEST(CliFileNames, random_bytes_give_safe_names) {
    const RandomSeed seed;
    std::mt19937_64 random(seed.value());
    const std::string pieces[] = {"..", "/", "\\", "//", "http://", "@", "#", "?", "%2e", ":", "a"};
    for (int i = 0; i < 100'000; ++i) {
        std::string url;
        for (unsigned length = random() % 12; length > 0; --length) {
            if (random() % 2 == 0) {
                url += pieces[random() % std::size(pieces)];
            } else {
                url += static_cast<char>(random());
            }
        }
        expect_safe(file_name_of(url));
        ASSERT_FALSE(HasFailure()) << ::testing::PrintToString(url);
    }
}

TEST(CliFileNames, the_same_name_twice_is_numbered) {
    NameBook book;
    EXPECT_EQ(book.enter("a"), "a");
    EXPECT_EQ(book.enter("a.1"), "a.1");
    EXPECT_EQ(book.enter("a"), "a.2");
    EXPECT_EQ(book.enter("a"), "a.3");
    EXPECT_EQ(book.enter("a.1"), "a.1.1");
    EXPECT_EQ(book.enter("a.3"), "a.3.1");
}

TEST_F(CliBodyFiles, appear_when_they_are_complete) {
    const Directory directory(inside_);
    BodyFile file(directory, "name");
    file.write("one ");
    file.write("two");
    EXPECT_EQ(files(), std::set<std::string>{"name.part"});
    EXPECT_EQ(file.commit(), (inside_ / "name").string());
    EXPECT_EQ(files(), std::set<std::string>{"name"});
    EXPECT_EQ(content_of(inside_ / "name"), "one two");
    BodyFile empty(directory, "empty");
    empty.commit();
    EXPECT_EQ(content_of(inside_ / "empty"), "");
}

TEST_F(CliBodyFiles, that_are_not_completed_leave_nothing) {
    const Directory directory(inside_);
    {
        BodyFile file(directory, "name");
        file.write("half");
    }
    EXPECT_EQ(files(), std::set<std::string>{});
    BodyFile again(directory, "name");
    again.write("first attempt");
    again.discard();
    again.write("second");
    again.commit();
    EXPECT_EQ(content_of(inside_ / "name"), "second");
    EXPECT_EQ(files(), std::set<std::string>{"name"});
}

TEST_F(CliBodyFiles, never_replace_anything) {
    const Directory directory(inside_);
    std::ofstream(inside_ / "name") << "mine";
    std::ofstream(inside_ / "other.part") << "mine";
    std::ofstream(outside_ / "victim") << "mine";
    fs::create_symlink(outside_ / "victim", inside_ / "link");
    fs::create_symlink(outside_ / "victim", inside_ / "trap.part");
    fs::create_symlink(outside_ / "absent", inside_ / "dangling");
    fs::create_directory(inside_ / "folder");
    for (const std::string name : {"name", "other", "link", "trap", "dangling", "folder"}) {
        BodyFile file(directory, name);
        file.write("new");
        file.commit();
    }
    EXPECT_EQ(content_of(inside_ / "name"), "mine");
    EXPECT_EQ(content_of(inside_ / "name.1"), "new");
    EXPECT_EQ(content_of(inside_ / "other.part"), "mine");
    EXPECT_EQ(content_of(inside_ / "other"), "new");
    EXPECT_EQ(content_of(inside_ / "link.1"), "new");
    EXPECT_EQ(content_of(inside_ / "trap"), "new");
    EXPECT_EQ(content_of(inside_ / "dangling.1"), "new");
    EXPECT_EQ(content_of(inside_ / "folder.1"), "new");
    EXPECT_EQ(content_of(outside_ / "victim"), "mine");
    EXPECT_FALSE(fs::exists(outside_ / "absent"));
}

TEST_F(CliBodyFiles, follow_their_directory_and_not_its_path) {
    const Directory directory(inside_);
    BodyFile file(directory, "name");
    file.write("body");
    fs::rename(inside_, outside_ / "moved");
    fs::create_directory_symlink(outside_, inside_);
    file.commit();
    EXPECT_EQ(content_of(outside_ / "moved" / "name"), "body");
    EXPECT_FALSE(fs::exists(outside_ / "name"));
}

TEST_F(CliBodyFiles, say_what_failed) {
    std::ofstream(outside_ / "file") << "x";
    EXPECT_THROW(Directory((outside_ / "file" / "below").string()), std::system_error);
    EXPECT_THROW(Directory((outside_ / "file").string()), std::system_error);
}

TEST(CliFetchResult, is_one_line_whatever_it_contains) {
    FetchResult result;
    result.url = "http://h/\n\x1b[31m\x7f";
    result.problem = "bad\r\nthing";
    EXPECT_EQ(text_line(result), "failed          -    0.000 s  http://h/??[31m?  bad??thing\n");
    result = {"http://h/", 200, 1234, 0.0346, 1, "", "out/h", ""};
    EXPECT_EQ(text_line(result), "200          1234    0.035 s  http://h/ -> out/h\n");
}

TEST(CliFetchResult, is_json) {
    FetchResult result{"http://h/", 200, 12, 0.5, 2, "", "out/h", ""};
    EXPECT_EQ(json_line(result), "{\"url\": \"http://h/\", \"status\": 200, \"bytes\": 12, "
                                 "\"seconds\": 0.500000, \"attempts\": 2, \"file\": \"out/h\"}\n");
    FetchResult failed;
    failed.url = "q\"b\\n\n\x01 \xc3\xbc \xff \xe2\x82 \xc0\xaf \xed\xa0\x80 \xf0\x9f\x98\x80";
    failed.problem = "no";
    EXPECT_EQ(
        json_line(failed),
        "{\"url\": \"q\\\"b\\\\n\\u000a\\u0001 \xc3\xbc \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd "
        "\\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80\", \"status\": null, \"bytes\": 0, "
        "\"seconds\": 0.000000, \"attempts\": 1, \"error\": \"no\"}\n");
}

TEST(CliFetchResult, does_nothing_to_a_terminal_but_show_text) {
    FetchResult result;
    result.url = "http://h/\xc2\x9b"
                 "31m\xe2\x80\xae";
    result.problem = "\x9b"
                     "31m \xe2\x81\xa6 \xe2\x80\x8f \xe2\x82 \xc3\xbc\x7f";
    EXPECT_EQ(text_line(result),
              "failed          -    0.000 s  http://h/?31m?  ?31m ? ? ?? \xc3\xbc?\n");
    const std::string json = json_line(result);
    EXPECT_NE(json.find("\"http://h/\\u009b31m\\u202e\""), std::string::npos) << json;
    EXPECT_NE(json.find("\"\\ufffd31m \\u2066 \\u200f \\ufffd\\ufffd \xc3\xbc\\u007f\""),
              std::string::npos)
        << json;
}

TEST(CliFetchResult, has_no_passwords) {
    FetchResult result;
    for (const std::string url : {"http://user:secret@h/x@y", "user:secret@h/x@y"}) {
        result.url = url;
        EXPECT_EQ(text_line(result).find("secret"), std::string::npos) << text_line(result);
        EXPECT_EQ(json_line(result).find("secret"), std::string::npos) << json_line(result);
        EXPECT_NE(text_line(result).find("h/x@y"), std::string::npos) << text_line(result);
    }
}

TEST(CliFetchResult, tells_where_redirects_led) {
    FetchResult result{"http://h/", 200, 1, 0, 1, "", "", "http://other/"};
    EXPECT_NE(json_line(result).find("\"final_url\": \"http://other/\""), std::string::npos);
    result.final_url.clear();
    EXPECT_EQ(json_line(result).find("final_url"), std::string::npos);
}

TEST(CliFetchResult, text_is_cut_between_two_characters) {
    EXPECT_EQ(shortened("abc", 3), "abc");
    EXPECT_EQ(shortened("abcd", 3), "abc...");
    EXPECT_EQ(shortened("ab\xc3\xbc", 3), "ab...");
    EXPECT_EQ(shortened("\x80\x80", 1), "...");
}

TEST(CliProgressBar, the_first_measurement_does_not_decide_on_the_speed) {
    Speed speed;
    EXPECT_EQ(speed.per_second(), 0);
    speed.add(1, 0.1);  // 10 a second
    EXPECT_NEAR(speed.per_second(), 10, 1e-9);
    for (int i = 0; i < 4; ++i) {
        speed.add(0, 0.1);
    }
    EXPECT_LT(speed.per_second(), 2.5);  // one in half a second, so about 2
    EXPECT_GT(speed.per_second(), 1.5);
    for (int i = 0; i < 200; ++i) {
        speed.add(3, 0.1);
    }
    EXPECT_NEAR(speed.per_second(), 30, 0.1);
}

TEST(CliProgressBar, fits_the_terminal) {
    EXPECT_EQ(progress_line(37, 100, 2, 12.34, 5.1, 60),
              " 37/100 [========>               ]  12/s  2 failed  ETA 0:05");
    EXPECT_EQ(progress_line(0, 10, 0, 0, -1, 40), " 0/10 [>                        ]  0.0/s");
    EXPECT_EQ(progress_line(10, 10, 0, 2.5, 0, 25), " 10/10  2.5/s  ETA 0:00");
    EXPECT_TRUE(progress_line(5, 100'000, 0, 0.5, 199'990, 80).ends_with("ETA 55:33:10"));
    for (std::size_t columns = 0; columns < 200; ++columns) {
        EXPECT_LE(progress_line(1, 3, 1, 1e9, 1e12, columns).size(), columns);
        EXPECT_LE(progress_line(0, 0, 0, 0, -1, columns).size(), columns);
    }
}
