"""Compares the list of promises, tests/contract.txt, with the tests.

    contract.py                      prints each section's coverage and what it misses
    contract.py --check A B F        fails if a statement of these sections has no test, or if
                                     the table in tests/README.md is not current
    contract.py --markdown           prints the table of tests/README.md
    contract.py --update             writes it

A test belongs to a statement if its name contains the number: a GoogleTest test such as
TEST(Futures, S066_set_result_twice_is_an_error), or a program of tests/compile_fail.
"""

import argparse
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATEMENT = re.compile(r"(S\d{3}) \| ([A-Z]) \| (.+)")
EXCUSE = re.compile(r"\s+does not apply: (.+)")
TEST = re.compile(r"\b\w*TEST\w*\(\s*\w+\s*,\s*(\w+)\s*[,)]")
NUMBER = re.compile(r"(?:^|_)(S\d{3})(?=_|$)")
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"


@dataclasses.dataclass
class Statement:
    number: str
    section: str
    text: str
    excuse: str = ""


@dataclasses.dataclass
class Section:
    letter: str
    statements: list
    covered: list
    excused: list
    missing: list


def read_statements(text):
    statements = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := STATEMENT.fullmatch(line):
            statements.append(Statement(*match.groups()))
        elif (match := EXCUSE.fullmatch(line)) and statements:
            statements[-1].excuse = match.group(1)
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"tests/contract.txt:{number}: neither a statement nor a reason: {line}")
    return statements


def numbers_in(name):
    return NUMBER.findall(name)


def tested_numbers(tests):
    """The numbers in the names of all tests below a folder."""
    found = set()
    for path in tests.rglob("*.cpp"):
        if path.parent.name == "compile_fail":
            found.update(numbers_in(path.stem))
        for name in TEST.findall(path.read_text(encoding="utf-8")):
            found.update(numbers_in(name))
    return found


def sections(statements, tested):
    result = []
    for letter in sorted({statement.section for statement in statements}):
        members = [s for s in statements if s.section == letter]
        excused = [s for s in members if s.excuse]
        covered = [s for s in members if s.number in tested and not s.excuse]
        missing = [s for s in members if s.number not in tested and not s.excuse]
        result.append(Section(letter, members, covered, excused, missing))
    return result


def markdown(table):
    lines = ["| section | statements | tested | do not apply | missing |", "|---|---|---|---|---|"]
    for section in table:
        missing = ", ".join(s.number for s in section.missing) or "none"
        if section.missing and len(section.missing) == len(section.statements):
            missing = f"all, {section.missing[0].number} to {section.missing[-1].number}"
        lines.append(f"| {section.letter} | {len(section.statements)} | {len(section.covered)} "
                     f"| {len(section.excused)} | {missing} |")
    return "\n".join(lines)


def replace_table(text, table):
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{markdown(table)}\n{END}{after}"


def check(table, letters, readme):
    """Prints what is missing; true if nothing is."""
    good = True
    for section in table:
        for statement in section.missing if section.letter in letters else []:
            print(f"{statement.number} has no test: {statement.text}")
            good = False
    if not good:
        print("Name a test after each, or give a line 'does not apply: reason' below it in "
              "tests/contract.txt.")
    text = readme.read_text(encoding="utf-8")
    if replace_table(text, table) != text:
        print("The table in tests/README.md is not current: "
              "python3 tools/contract/contract.py --update")
        good = False
    return good


def report(table):
    for section in table:
        print(f"{section.letter}: {len(section.covered)} of {len(section.statements)} tested, "
              f"{len(section.excused)} do not apply")
        for statement in section.missing:
            print(f"   {statement.number} {statement.text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", nargs="+", metavar="SECTION")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()

    tests = ROOT / "tests"
    readme = tests / "README.md"
    statements = read_statements((tests / "contract.txt").read_text(encoding="utf-8"))
    tested = tested_numbers(tests)
    if unknown := tested - {statement.number for statement in statements}:
        sys.exit(f"tests name statements that do not exist: {', '.join(sorted(unknown))}")

    table = sections(statements, tested)
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
