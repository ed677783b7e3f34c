"""The C++ in the documentation: all of it is compiled, and programs are run.

    pages.py extract PAGE.md PROGRAM.cpp    writes the page's program to a file
    pages.py run PAGE.md COMMAND            runs it; it must print what the page says
    pages.py lines SOURCE.cpp PAGE.md...    all other C++ of the pages must be in the source

A page's program is its ```cpp block with a `main`. A ```text block that follows it is what it
prints on its standard output. Other C++ are the ```cpp blocks without a `main`, and what a table
has in backquotes in its column "C++"; white space and comments do not count.
"""

import difflib
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(.+?)\1")


def is_program(block):
    return block[1] == "cpp" and "int main(" in block[2]


def program(page):
    """The page's program, the number of its first line, and its output if the page tells."""
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    programs = [index for index, block in enumerate(blocks) if is_program(block)]
    if len(programs) != 1:
        sys.exit(f"{page} has {len(programs)} programs; it needs exactly one")
    index = programs[0]
    following = blocks[index + 1] if index + 1 < len(blocks) else None
    output = following[2] if following and following[1] == "text" else None
    first_line = text.count("\n", 0, blocks[index].start(2)) + 1
    return blocks[index][2], first_line, output


def extract(page, target):
    code, first_line, _ = program(page)
    target.write_text(f'#line {first_line} "{page.as_posix()}"\n{code}', encoding="utf-8")


def run(page, command):
    expected = program(page)[2]
    # A program that does not end is ended by ctest.
    result = subprocess.run([command], stdout=subprocess.PIPE, text=True, check=False)
    if expected is not None and result.stdout != expected:
        difference = difflib.unified_diff(expected.splitlines(True), result.stdout.splitlines(True),
                                          str(page), "the program")
        sys.exit("".join(difference) + f"{page} shows another output than its program has")
    sys.stdout.write(result.stdout)
    sys.exit(result.returncode)


def cells(row):
    """The cells of a table's row; a backslash makes a bar part of its cell."""
    parts = re.split(r"(?<!\\)\|", row.strip().strip("|"))
    return [part.replace("\\|", "|").strip() for part in parts]


def table_code(text):
    """(line number, code) for all code in the column "C++" of the tables."""
    column = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            column = None
        elif column is None:
            heads = cells(line)
            column = heads.index("C++") if "C++" in heads else len(heads)
        elif column < len(cells(line)):
            for match in CODE.finditer(cells(line)[column]):
                yield number, match[2]


def without_space(code):
    return re.sub(r"\s+", "", re.sub(r"//[^\n]*", "", code))


def other_code(text):
    """(line number, code) for all C++ of a page but its program."""
    yield from table_code(text)
    for block in BLOCK.finditer(text):
        if block[1] == "cpp" and not is_program(block):
            yield text.count("\n", 0, block.start(2)) + 1, block[2].rstrip()


def lines(source, *pages):
    compiled = without_space(source.read_text(encoding="utf-8"))
    count = 0
    missing = []
    for page in pages:
        for number, code in other_code(page.read_text(encoding="utf-8")):
            count += 1
            if without_space(code) not in compiled:
                missing.append(f"{page}:{number}: not in {source.name}: {code}")
    print(f"{count} pieces of C++, {len(missing)} of them not in {source.name}")
    if missing:
        sys.exit("\n".join(missing))


def main():
    action, *paths = sys.argv[1:]
    actions = {"extract": extract, "run": run, "lines": lines}
    actions[action](*map(pathlib.Path, paths))


if __name__ == "__main__":
    main()
