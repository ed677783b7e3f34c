"""What a rule reports: a place, what is wrong there, and what to do instead."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Problem:
    path: str
    line: int
    what: str
    instead: str
    is_warning: bool = False

    def __str__(self):
        kind = "warning: " if self.is_warning else ""
        return f"{self.path}:{self.line}: {kind}{self.what}; {self.instead}"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of the project, its path relative to the project's root."""

    path: str
    text: str

    @property
    def lines(self):
        return self.text.split("\n")

    @property
    def suffix(self):
        return "." + self.path.rsplit(".", 1)[-1] if "." in self.path else ""

    @property
    def is_cpp(self):
        return self.suffix in (".hpp", ".cpp")
