"""Compares the lists of promises and of bugs, contract.txt and history.txt, with the tests.

    contract.py                      prints each section's coverage and what it misses
    contract.py --check A B F        fails if a statement or bug of these sections has no test, or
                                     if the table in tests/README.md is not current
    contract.py --markdown           prints the table of tests/README.md
    contract.py --update             writes it

A test belongs to a statement or bug if its name contains the number: a GoogleTest test such as
TEST(Futures, S066_set_result_twice_is_an_error), or a program of tests/compile_fail. A bug may also
name tests, each in a line of its own below it. The bugs of a section that is not checked wait for
that part of the library.
"""

import argparse
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"([SB]\d+) \| ([A-Z]) \| (.+)")
EXCUSE = re.compile(r"\s+does not apply: (.+)")
TESTED_BY = re.compile(r"\s+test: (\w+\.\w+)")
TEST = re.compile(r"\b\w*TEST\w*\(\s*(\w+)\s*,\s*(\w+)\s*[,)]")
NUMBER = re.compile(r"(?:^|_)(S\d{3}|B\d{2})(?=_|$)")
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"


@dataclasses.dataclass
class Entry:
    """A statement of the contract, or a bug of history."""
    number: str
    section: str
    text: str
    excuse: str = ""
    tests: list = dataclasses.field(default_factory=list)

    def is_bug(self):
        return self.number.startswith("B")


@dataclasses.dataclass
class Section:
    letter: str
    entries: list
    tested: set

    def count(self, bugs, wanted=lambda entry: True):
        return sum(1 for entry in self.entries if entry.is_bug() == bugs and wanted(entry))

    def covered(self, entry):
        return not entry.excuse and entry.number in self.tested

    def missing(self):
        return [e for e in self.entries if not e.excuse and e.number not in self.tested]


def read_entries(path):
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := ENTRY.fullmatch(line):
            entries.append(Entry(*match.groups()))
        elif (match := EXCUSE.fullmatch(line)) and entries:
            entries[-1].excuse = match.group(1)
        elif (match := TESTED_BY.fullmatch(line)) and entries:
            entries[-1].tests.append(match.group(1))
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"{path}:{number}: neither an entry nor a reason nor a test: {line}")
    return entries


def names_of_tests(tests):
    """The names of all tests below a folder, with their suites."""
    names = set()
    for path in tests.rglob("*.cpp"):
        if path.parent.name == "compile_fail":
            names.add(f"compile_fail.{path.stem}")
        for suite, name in TEST.findall(path.read_text(encoding="utf-8")):
            names.add(f"{suite}.{name}")
    return names


def tested_numbers(entries, names):
    found = {number for name in names for number in NUMBER.findall(name.split(".")[1])}
    if unknown := found - {entry.number for entry in entries}:
        sys.exit(f"tests name numbers that do not exist: {', '.join(sorted(unknown))}")
    if gone := {test for entry in entries for test in entry.tests} - names:
        sys.exit(f"tests/history.txt names tests that do not exist: {', '.join(sorted(gone))}")
    return found | {entry.number for entry in entries if entry.tests}


def sections(entries, tested):
    return [Section(letter, [e for e in entries if e.section == letter], tested)
            for letter in sorted({entry.section for entry in entries})]


def described(section):
    """What is missing, in few words."""
    statements = [e.number for e in section.missing() if not e.is_bug()]
    bugs = [e.number for e in section.missing() if e.is_bug()]
    if statements and len(statements) == section.count(bugs=False):
        statements = [f"all, {statements[0]} to {statements[-1]}"]
    return ", ".join(statements + bugs) or "none"


def markdown(table):
    lines = ["| section | statements | tested | do not apply | bugs | tested | missing |",
             "|---|---|---|---|---|---|---|"]
    for section in table:
        lines.append(f"| {section.letter} | {section.count(False)} "
                     f"| {section.count(False, section.covered)} "
                     f"| {section.count(False, lambda entry: entry.excuse)} "
                     f"| {section.count(True)} | {section.count(True, section.covered)} "
                     f"| {described(section)} |")
    return "\n".join(lines)


def replace_table(text, table):
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{markdown(table)}\n{END}{after}"


def check(table, letters, readme):
    """Prints what is missing; true if nothing is."""
    good = True
    for section in table:
        for entry in section.missing() if section.letter in letters else []:
            print(f"{entry.number} has no test: {entry.text}")
            good = False
    if not good:
        print("Name a test after each, or give a line 'does not apply: reason' below it in "
              "tests/contract.txt, or 'test: Suite.name' in tests/history.txt.")
    text = readme.read_text(encoding="utf-8")
    if replace_table(text, table) != text:
        print("The table in tests/README.md is not current: "
              "python3 tools/contract/contract.py --update")
        good = False
    return good


def report(table):
    for section in table:
        print(f"{section.letter}: {section.count(False, section.covered)} of "
              f"{section.count(False)} statements tested, "
              f"{section.count(False, lambda entry: entry.excuse)} do not apply, "
              f"{section.count(True, section.covered)} of {section.count(True)} bugs")
        for entry in section.missing():
            print(f"   {entry.number} {entry.text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", nargs="+", metavar="SECTION")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()

    tests = ROOT / "tests"
    readme = tests / "README.md"
    entries = read_entries(tests / "contract.txt") + read_entries(tests / "history.txt")
    table = sections(entries, tested_numbers(entries, names_of_tests(tests)))
    if options.check:
        sys.exit(0 if check(table, options.check, readme) else 1)
    elif options.markdown:
        print(markdown(table))
    elif options.update:
        readme.write_text(replace_table(readme.read_text(encoding="utf-8"), table),
                          encoding="utf-8")
    else:
        report(table)


if __name__ == "__main__":
    main()
