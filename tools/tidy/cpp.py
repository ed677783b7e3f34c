"""Just enough reading of C++ to find includes, macros and the bodies of functions."""

import re

# In this order: a comment marker inside a string is no comment, and the other way round.
TOKENS = re.compile(
    r'(?P<raw>R"(?P<tag>[^()\\ ]*)\(.*?\)(?P=tag)")'
    r'|(?P<comment>//[^\n]*|/\*.*?\*/)'
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<char>(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+')",
    re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
SCOPE = re.compile(r"(^|[\s;{}])(namespace|class|struct|union|enum|extern)\b[^()]*$")


def blank(text):
    """The text with comments and the insides of literals blanked; lines stay in place."""
    def replace(match):
        quote = "" if match.group("comment") else match.group()[-1]
        inside = re.sub(r"[^\n]", " ", match.group())
        return quote + inside[len(quote):len(inside) - len(quote)] + quote
    return TOKENS.sub(replace, text)


def includes(text):
    """(line, header, is_quoted) of each #include."""
    for number, line in enumerate(text.split("\n"), 1):
        if match := INCLUDE.match(line):
            yield number, match.group(2), match.group(1) == '"'


def macros(text):
    """(line, name) of each #define."""
    for number, line in enumerate(blank(text).split("\n"), 1):
        if match := DEFINE.match(line):
            yield number, match.group(1)


def without_preprocessor(code):
    """Blanks the preprocessor's lines, with their continuations."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group().count("\n"),
                  code, flags=re.MULTILINE)


def functions(text):
    """(line, length, heading) of each function body at namespace or class level.

    A body begins at a brace whose heading, the text since the last `;` or brace, has a
    parameter list and starts no class. The braces of constructor initialisers belong to the
    heading.
    """
    code = without_preprocessor(blank(text))
    depth_of_function = None
    depth = 0
    heading_start = 0
    initialiser_depth = None
    for match in re.finditer(r"[;{}]", code):
        token, at = match.group(), match.start()
        if token == "{":
            depth += 1
            if depth_of_function is not None or initialiser_depth is not None:
                continue
            heading = code[heading_start:at]
            if is_initialiser(heading):
                initialiser_depth = depth
                continue
            if is_function(heading):
                depth_of_function = depth
                first = at
            heading_start = match.end()
        elif token == "}":
            if depth == initialiser_depth:
                initialiser_depth = None
            elif depth == depth_of_function:
                depth_of_function = None
                heading_start = match.end()
                yield describe(code, heading, first, at)
            elif depth_of_function is None and initialiser_depth is None:
                heading_start = match.end()
            depth -= 1
        elif depth_of_function is None and initialiser_depth is None:
            heading_start = match.end()


def describe(code, heading, first, last):
    line = code.count("\n", 0, first) + 1
    length = code.count("\n", first, last) + 1
    name = re.search(r"(~?[\w:]+|operator\s*\S+?)\s*\(", heading)
    return line, length, name.group(1) if name else "function"


def is_function(heading):
    return ")" in heading and not SCOPE.search(heading.rstrip()) and "=" not in last_part(heading)


def last_part(heading):
    """What follows the last closing parenthesis."""
    return heading.rsplit(")", 1)[-1]


def is_initialiser(heading):
    """Whether a brace after this heading belongs to a constructor's list of initialisers."""
    after_parameters = re.search(r"\)\s*(?:noexcept(?:\([^()]*\))?\s*)?:(?!:)(.*)$", heading,
                                 re.DOTALL)
    return bool(after_parameters) and bool(re.search(r"[\w>]\s*$", after_parameters.group(1)))
