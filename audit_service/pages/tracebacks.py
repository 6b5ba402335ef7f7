"""A traceback in parts: frames of libraries can be folded, what belongs to the app is read first."""

import re
from dataclasses import dataclass, field

_FRAME = re.compile(r'(?P<margin>[\s|+]*)File "(?P<path>[^"\n]+)", line \d+')
_LIBRARY = re.compile(r"(?:site|dist)-packages[/\\]([^/\\]+)")
_PYTHON = re.compile(r"^<frozen |[/\\]lib[/\\]python\d|[/\\]Python\d+[/\\]Lib[/\\]")


@dataclass
class Part:
    """Consecutive lines, and the libraries whose frames they are; without any, they are to be seen."""

    lines: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    frames: int = 0

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(self.lines)


def parts_of(traceback: str | None) -> list[Part]:
    """Return the parts of a traceback; none of one that was erased. When all frames are of libraries, none is apart."""
    if traceback is None:
        return []
    parts: list[Part] = []
    library, margin, has_own = "", -1, False
    for line in traceback.splitlines():
        indent = len(line) - len(line.lstrip(" |+"))
        begins = False
        if frame := _FRAME.match(line):
            begins, library, margin = True, _library(frame["path"]), len(frame["margin"])
            has_own |= not library
        elif indent <= margin and "[Previous line repeated" not in line:
            library, margin = "", -1
        if not parts or bool(parts[-1].libraries) != bool(library):
            parts.append(Part())
        parts[-1].lines.append(line)
        parts[-1].frames += begins
        if library and library not in parts[-1].libraries:
            parts[-1].libraries.append(library)
    return parts if has_own else [Part(traceback.splitlines())]


def _library(path: str) -> str:
    """Return the name of the library that a file belongs to; "" for a file of the app."""
    if found := _LIBRARY.search(path):
        return found[1].removesuffix(".py")
    return "Python" if _PYTHON.search(path) else ""
