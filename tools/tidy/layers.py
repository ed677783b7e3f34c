"""Who may include whom."""

import posixpath

import cpp
from problems import Problem

# The first matching folder decides a file's layer.
LAYERS = [
    ("include/asyncio/detail/", "detail"),
    ("include/asyncio/testing/", "testing"),
    ("include/asyncio/http", "http api"),
    ("include/asyncio/openssl", "ssl api"),
    ("include/asyncio/", "api"),
    ("src/base/", "base"),
    ("src/core/", "core"),
    ("src/io/", "io"),
    ("src/net/", "net"),
    ("src/exec/", "exec"),
    ("src/http/", "http"),
    ("src/ssl/", "ssl"),
    ("src/inspect/", "inspect"),
    ("src/testing/", "test tools"),
    ("tools/cli/", "cli"),
    ("tests/unit/", "unit tests"),
    ("tests/inspect/", "unit tests"),
    ("tests/soak/", "unit tests"),
    ("tests/fuzz/serialize.cpp", "unit tests"),
    ("tests/", "tests"),
    ("bench/", "bench"),
    ("examples/", "examples"),
]

# Each layer may include itself and these.
MAY_INCLUDE = {
    "detail": {"api"},
    "api": {"detail"},
    "testing": {"api", "detail"},
    "http api": {"api", "detail"},
    "ssl api": {"api", "detail"},
    "base": {"detail"},
    "core": {"base", "api", "detail"},
    "io": {"base", "core", "api", "detail"},
    "net": {"base", "io", "api", "detail"},
    "exec": {"base", "io", "api", "detail"},
    "http": {"base", "net", "api", "detail", "http api"},
    "ssl": {"base", "api", "detail", "ssl api"},
    "inspect": {"base", "core", "api", "detail"},
    "test tools": {"net", "io", "api", "detail", "testing"},
    "cli": {"inspect", "api", "http api"},
    "unit tests": {name for _, name in LAYERS},
    "tests": {"api", "http api", "ssl api", "testing"},
    "bench": {"api", "http api", "ssl api", "testing"},
    "examples": {"api", "http api", "ssl api", "testing"},
}

# Public headers that know no coroutines; base implements them and may use them throughout.
BASICS = {f"include/asyncio/{name}.hpp"
          for name in ("clock", "exception_group", "exceptions", "log", "ssl")}

# Headers of the operating system are kept to these places; elsewhere nothing may assume
# Linux. What GCC and clang bring along themselves is no such header.
SYSTEM_ALLOWED = ("src/io/", "src/net/", "src/http/", "src/ssl/", "src/exec/", "src/inspect/",
                  "src/testing/", "tools/", "bench/", "tests/")
COMPILER_HEADERS = {"cxxabi.h", "x86intrin.h"}

# Other libraries' headers, and the only places that may include them.
THIRD_PARTY = {
    "curl/": ("src/http/", "tests/", "bench/"),
    "openssl/": ("src/ssl/", "tests/", "bench/"),
    "CLI/": ("tools/", "bench/"),
    "gtest/": ("tests/", "include/asyncio/testing/gtest.hpp"),
    "gmock/": ("tests/",),
    "nlohmann/": ("tests/", "bench/"),
}
ANY_LIBRARY_ALLOWED = ("bench/",)


def layer_of(path):
    return next((layer for folder, layer in LAYERS if path.startswith(folder)), None)


def resolve(path, header, is_quoted, known):
    """The project's file that an include names, or None."""
    candidates = [posixpath.join(folder, header)
                  for folder in ("include", "src", path.split("/")[0])]
    if is_quoted:
        candidates.insert(0, posixpath.normpath(posixpath.join(posixpath.dirname(path), header)))
    return next((candidate for candidate in candidates if candidate in known), None)


def is_own_header(path, target):
    """A source file may always include the header it implements."""
    stem = posixpath.splitext(posixpath.basename(path))[0]
    return path.endswith(".cpp") and posixpath.basename(target) == stem + ".hpp"


def is_bodies_of(path, target):
    """Whether a file x_impl.hpp, which x.hpp includes at its end, includes x.hpp back."""
    return (posixpath.splitext(posixpath.basename(path))[0]
            == posixpath.splitext(posixpath.basename(target))[0] + "_impl")


def check(sources):
    known = {source.path for source in sources}
    graph = {}
    for source in sources:
        if not source.is_cpp or layer_of(source.path) is None:
            continue
        graph[source.path] = []
        for line, header, is_quoted in cpp.includes(source.text):
            target = resolve(source.path, header, is_quoted, known)
            if target:
                if not is_bodies_of(source.path, target):
                    graph[source.path].append(target)
                yield from check_project_include(source.path, line, target)
            elif is_quoted or header.startswith("asyncio/"):
                yield Problem(source.path, line, f"includes {header}, which does not exist",
                              "name a file relative to this one, or to src/ or include/")
            else:
                yield from check_foreign_include(source.path, line, header)
    yield from check_cycles(graph)


def check_project_include(path, line, target):
    layer, target_layer = layer_of(path), layer_of(target)
    if target_layer in MAY_INCLUDE[layer] | {layer} or is_own_header(path, target):
        return
    if layer == "base" and target in BASICS:
        return
    allowed = ", ".join(sorted(MAY_INCLUDE[layer])) or "nothing else"
    yield Problem(path, line, f"the layer '{layer}' includes {target} of '{target_layer}'",
                  f"it may include only itself and: {allowed}")


def check_foreign_include(path, line, header):
    if path.startswith(ANY_LIBRARY_ALLOWED):
        return
    for prefix, places in THIRD_PARTY.items():
        if header.startswith(prefix):
            if not path.startswith(places):
                yield Problem(path, line, f"includes <{header}>",
                              f"this library stays behind {', '.join(places)}")
            return
    is_standard = "." not in header and "/" not in header
    if is_standard or header in COMPILER_HEADERS or path.startswith(SYSTEM_ALLOWED):
        return
    yield Problem(path, line, f"includes the system header <{header}>",
                  f"only {', '.join(SYSTEM_ALLOWED)} may; use the standard library, or move the "
                  "code there")


def check_cycles(graph):
    """Reports each header that includes itself over others, once."""
    done = set()

    def visit(path, trail):
        if path in trail:
            cycle = trail[trail.index(path):] + [path]
            yield Problem(path, 1, f"headers include each other: {' -> '.join(cycle)}",
                          "move what both need into a header of its own")
        elif path not in done:
            for target in graph.get(path, ()):
                yield from visit(target, trail + [path])
            done.add(path)

    for path in sorted(graph):
        yield from visit(path, [])
