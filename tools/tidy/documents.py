"""Markdown: one title, and links that lead somewhere."""

import posixpath
import re

from problems import Problem

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def prose(source):
    """(line number, line) outside of fenced code, without inline code."""
    fence = None
    for number, line in enumerate(source.lines, 1):
        if match := re.match(r"\s*(```+|~~~+)", line):
            if fence is None:
                fence = match.group(1)
            elif line.strip().startswith(fence):
                fence = None
        elif fence is None:
            yield number, re.sub(r"`[^`]*`", "``", line)


def anchor(heading):
    """The name of a heading's anchor, as hosting sites derive it."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


def anchors(source):
    return {anchor(line.lstrip("#").replace("`", ""))
            for line in source.lines if line.startswith("#")}


def check(sources, exists):
    """Checks every Markdown file; `exists` tells whether a path is a file or folder."""
    documents = {source.path: source for source in sources if source.suffix == ".md"}
    for source in documents.values():
        titles = [number for number, line in prose(source) if line.startswith("# ")]
        if len(titles) != 1:
            yield Problem(source.path, titles[1] if titles else 1,
                          f"{len(titles)} titles", "have exactly one line that begins with '# '")
        for number, line in prose(source):
            for match in LINK.finditer(line):
                yield from check_link(source, number, match.group(1), documents, exists)


def check_link(source, number, link, documents, exists):
    if re.match(r"[a-z]+:", link):
        return
    path, _, name = link.partition("#")
    target = source.path
    if path:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source.path), path))
        if target.startswith("..") or not exists(target):
            yield Problem(source.path, number, f"the link {link} leads nowhere",
                          "link to a file of the project, relative to this one")
            return
    if name and target in documents and name not in anchors(documents[target]):
        yield Problem(source.path, number, f"no heading of {target} has the anchor #{name}",
                      "link to an existing heading")
