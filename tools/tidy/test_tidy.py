"""Tests of the rules, each on the smallest text that breaks it."""

import textwrap
import unittest

import cpp
import documents
import layers
import rules
from problems import Source

HEADER = "// What this header is for.\n#pragma once\n"


def whats(problems):
    return [problem.what for problem in problems]


def check_rules(path, text):
    return whats(rules.check([Source(path, text)]))


class Layers(unittest.TestCase):
    def check(self, path, line, *others):
        sources = [Source(path, line + "\n")] + [Source(other, "") for other in others]
        return whats(layers.check(sources))

    def test_lower_layer_may_be_included(self):
        self.assertEqual(self.check("src/core/loop.cpp", '#include "base/heap.hpp"',
                                    "src/base/heap.hpp"), [])

    def test_upper_layer_may_not(self):
        self.assertEqual(self.check("src/base/heap.cpp", '#include "core/loop.hpp"',
                                    "src/core/loop.hpp"),
                         ["the layer 'base' includes src/core/loop.hpp of 'core'"])

    def test_public_header_may_not_include_src(self):
        self.assertEqual(len(self.check("include/asyncio/queue.hpp", '#include "core/loop.hpp"',
                                        "src/core/loop.hpp")), 1)

    def test_nothing_includes_inspect(self):
        self.assertEqual(len(self.check("src/io/epoll.cpp", '#include "inspect/rings.hpp"',
                                        "src/inspect/rings.hpp")), 1)

    def test_own_header_is_always_allowed(self):
        self.assertEqual(self.check("src/core/clock.cpp", "#include <asyncio/testing/clock.hpp>",
                                    "include/asyncio/testing/clock.hpp"), [])

    def test_base_knows_no_coroutines(self):
        for name, problems in (("exceptions", 0), ("task", 1)):
            found = self.check("src/base/heap.cpp", f"#include <asyncio/{name}.hpp>",
                               f"include/asyncio/{name}.hpp")
            self.assertEqual(len(found), problems)

    def test_quoted_include_is_relative_first(self):
        self.assertEqual(self.check("src/io/epoll.cpp", '#include "poller.hpp"',
                                    "src/io/poller.hpp"), [])

    def test_missing_file(self):
        self.assertEqual(self.check("src/io/epoll.cpp", '#include "gone.hpp"'),
                         ["includes gone.hpp, which does not exist"])

    def test_examples_see_the_public_api_only(self):
        self.assertEqual(len(self.check("examples/01.cpp", "#include <asyncio/detail/pool.hpp>",
                                        "include/asyncio/detail/pool.hpp")), 1)

    def test_system_headers_stay_low(self):
        self.assertEqual(self.check("src/io/epoll.cpp", "#include <sys/epoll.h>"), [])
        self.assertEqual(self.check("src/core/loop.cpp", "#include <sys/epoll.h>"),
                         ["includes the system header <sys/epoll.h>"])
        self.assertEqual(self.check("src/core/loop.cpp", "#include <vector>"), [])

    def test_third_party_stays_in_its_component(self):
        self.assertEqual(self.check("src/http/client.cpp", "#include <curl/curl.h>"), [])
        self.assertEqual(len(self.check("src/io/epoll.cpp", "#include <curl/curl.h>")), 1)

    def test_cycle(self):
        sources = [Source("src/base/a.hpp", '#include "b.hpp"\n'),
                   Source("src/base/b.hpp", '#include "a.hpp"\n')]
        self.assertIn("headers include each other", whats(layers.check(sources))[0])

    def test_bodies_of_templates_are_no_cycle(self):
        sources = [Source("include/asyncio/a.hpp", "#include <asyncio/detail/a_impl.hpp>\n"),
                   Source("include/asyncio/detail/a_impl.hpp", "#include <asyncio/a.hpp>\n")]
        self.assertEqual(whats(layers.check(sources)), [])


class Functions(unittest.TestCase):
    def lengths(self, text):
        return [(name, length) for _, length, name in cpp.functions(textwrap.dedent(text))]

    def test_functions_at_both_levels(self):
        self.assertEqual(self.lengths("""
            namespace n {
            struct S final : Base<int> {
                int get() const { return 1; }
            };
            int f(int a) {
                if (a) { return 2; }
                auto g = [] { return "}"; };
                return 3;
            }
            }  // namespace n
            """), [("get", 1), ("f", 5)])

    def test_constructor_initialisers_are_no_body(self):
        self.assertEqual(self.lengths("""
            S::S(int a) noexcept : a_{a}, b_{1}, c_(2) {
                start();
            }
            """), [("S::S", 3)])

    def test_tables_and_enums_are_no_functions(self):
        self.assertEqual(self.lengths("""
            enum class E : bool { a, b };
            int table[] = {
                f(1),
            };
            """), [])

    def test_literals_and_comments_are_skipped(self):
        self.assertEqual(self.lengths("""
            // {
            /* { */
            const char* s = R"({)";
            char c = '{';
            int n = 1'000'000;
            #define OPEN {
            void f() {}
            """), [("f", 1)])

    def test_limit(self):
        body = "    g();\n" * 70
        self.assertEqual(check_rules("src/base/f.cpp", f"void f() {{\n{body}}}\n"),
                         ["f has 72 lines"])


class Texts(unittest.TestCase):
    def test_clean_header(self):
        self.assertEqual(check_rules("include/asyncio/a.hpp", HEADER), [])

    def test_header_without_purpose_or_guard(self):
        self.assertEqual(len(check_rules("include/asyncio/a.hpp", "#include <vector>\n")), 2)

    def test_using_namespace(self):
        self.assertEqual(check_rules("include/asyncio/a.hpp", HEADER + "using namespace std;\n"),
                         ["using namespace in a header"])
        self.assertEqual(check_rules("include/asyncio/a.hpp", HEADER + "// using namespace std\n"),
                         [])

    def test_macros(self):
        self.assertEqual(check_rules("include/asyncio/a.hpp", HEADER + "#define CHECK(x)\n"),
                         ["the macro CHECK may clash with a user's"])
        many = "".join(f"#define ASYNCIO_{n}\n" for n in range(11))
        self.assertEqual(len(check_rules("include/asyncio/a.hpp", HEADER + many)), 1)

    def test_words_names_spaces_and_columns(self):
        word = rules.BANNED_WORDS[0]
        self.assertEqual(check_rules("src/base/a.cpp", f"// {word}: later\n"), [f"contains {word}"])
        self.assertEqual(len(check_rules("src/base/utils.cpp", "")), 1)
        self.assertEqual(check_rules("a.py", "x = 1 \n"), ["ends in white space"])
        self.assertEqual(check_rules("a.py", "x = 1"), ["has no newline at its end"])
        self.assertEqual(check_rules("a.py", "#" * 101 + "\n"), ["101 columns"])
        self.assertEqual(check_rules("a.md", "#" * 101 + "\n"), [])

    def test_file_sizes(self):
        warned, = rules.check([Source("a.py", "\n" * 501)])
        self.assertTrue(warned.is_warning)
        refused, = rules.check([Source("a.py", "\n" * 801)])
        self.assertFalse(refused.is_warning)


class Documents(unittest.TestCase):
    def check(self, text, files=()):
        return whats(documents.check([Source("docs/a.md", text)], lambda path: path in files))

    def test_one_title(self):
        self.assertEqual(self.check("# A\n\n```sh\n# comment\n```\n"), [])
        self.assertEqual(self.check("# A\n# B\n"), ["2 titles"])

    def test_links(self):
        self.assertEqual(self.check("# A\n[b](../b.md) [web](https://x.org)\n", {"b.md"}), [])
        self.assertEqual(self.check("# A\n[b](b.md)\n"), ["the link b.md leads nowhere"])
        self.assertEqual(self.check("# A\n[up](../../b.md)\n", {"../b.md"}),
                         ["the link ../../b.md leads nowhere"])

    def test_anchors(self):
        self.assertEqual(self.check("# A\n## The `run` file\n[x](#the-run-file)\n"), [])
        self.assertEqual(len(self.check("# A\n[x](#gone)\n")), 1)

    def test_code_is_no_link(self):
        self.assertEqual(self.check("# A\n`[](int x)`\n"), [])


if __name__ == "__main__":
    unittest.main()
