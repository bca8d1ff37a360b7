"""A traceback, as text, becomes the exceptions that it tells of.

A live exception comes here as text too: what is pasted and what is caught
cannot be read in two ways. Read are the forms of Python (chains and groups),
of Jupyter and of pytest, with or without colours, behind the prefix that a
log puts before each line.
"""

import re
import traceback
from dataclasses import dataclass, field

from ...notebook.stacks import yours

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BEGINS = "Traceback (most recent call last)"
_PREFIX = re.compile(r"^(\S.*?(?: *\| ?| ?)|)"
                     r"(?=[ |+]*(?:Exception Group )?Traceback \(most)")
_JUPYTERS_HEAD = re.compile(r"^[A-Z]\w+ +Traceback")
_GROUP = re.compile(r"^ *(?:\| ?|\+ (?=Exception Group))")
_MEMBER = re.compile(r"^[ |]*\+(?:-\+)?-{8,}")
_CHAINED = re.compile(r"^(The above exception was the direct cause|"
                      r"During handling of the above exception)")
_PYTHON = re.compile(r'^\s+File "(?P<file>.+?)", line (?P<line>\d+)'
                     r"(?:, in (?P<function>.+))?$")
_JUPYTER = re.compile(
    r"^(?:File (?P<file>.+?):(?P<line>\d+)|(?P<cell>(?:Cell )?In ?\[\d+\]), "
    r"line (?P<number>\d+))(?:, in (?P<function>[\w.<>]+).*)?$")
_PYTEST = re.compile(
    r"^(?P<file>[^\s:]+\.pyx?):(?P<line>\d+): ?(?:in (?P<function>\S+)|\S*)$")
_ARROW = re.compile(r"^(?:-+> ?\d+ |>  )\s*(?P<source>.+)")
_RAISED = re.compile(r"^(?P<type>(?:\w+\.)*[A-Z]\w+)(?:: ?(?P<message>.*))?$")
_WARNED = re.compile(
    r"^(?P<file>[^\s:]+|<[^>]+>):(?P<line>\d+): "
    r"(?P<type>[A-Z]\w*Warning): (?P<message>.*)$")
_INNER = re.compile(r"^\((?P<type>(?:\w+\.)*\w+)\) (?P<message>.*)", re.S)
# A library's compiled module has no folder of packages in its name.
_COMPILED = re.compile(r"\.pyx$|^lib/sqlalchemy/")
_NAMED = re.compile(r"(Error|Exception|Warning|Group|Greenlet)$")


@dataclass
class Frame:
    """A line that ran: its file or cell, number, function and source."""

    file: str
    line: int
    function: str = ""
    source: str = ""

    @property
    def yours(self):
        """Whether it is neither a library's nor Python's own."""
        return yours(self.file) and not _COMPILED.search(self.file)

    def __str__(self):
        where = f"line {self.line} of {_shown(self.file)}"
        return f"{self.source}  ({where})" if self.source else where


@dataclass
class Raised:
    """An exception of a traceback.

    ``type`` is its name without the module, ``frames`` are its Frames from
    the outside in, ``outer`` is the Raised that wraps it, handles it or
    groups it, or None.
    """

    type: str
    message: str = ""
    frames: list[Frame] = field(default_factory=list)
    outer: "Raised | None" = None

    @property
    def your_frame(self):
        """The innermost Frame of yours on the way out of here, or None."""
        link, seen = self, []
        while link is not None and link not in seen:
            for frame in reversed(link.frames):
                if frame.yours:
                    return frame
            seen, link = [*seen, link], link.outer
        return None


def of(error):
    """The Raised of a live exception, the innermost first (list)."""
    return parse("".join(traceback.format_exception(error)))


def parse(text):
    """The Raised that ``text`` (str) tells of, the innermost first (list).

    Empty if there is no exception in it.
    """
    reader = _Reader()
    for line in _bare(text):
        reader.read(line)
    return [inner for link in reader.found for inner in _unwrapped(link)]


class _Reader:
    """Takes the lines of a text one by one."""

    def __init__(self):
        self.found = []
        self.frames = []  # of a traceback whose exception is not named yet
        self.inside = False  # between a traceback's head and its last line
        self.chained = False  # the next exception is the outer one
        self.group = None
        self.open = None  # its message goes on
        self.arrow = ""

    def read(self, line):
        pytests = re.match(r"^E   (?P<text>.*)", line)
        if pytests:
            line = pytests["text"].strip()
        if _BEGINS in line:
            self.inside, self.frames, self.open = True, [], None
        elif _CHAINED.match(line):
            self.chained, self.open = True, None
        elif _MEMBER.match(line):
            self._member()
        elif found := _frame(line):
            self._frame(found, after=_PYTEST.match(line))
        elif arrow := _ARROW.match(line):
            self._source(arrow["source"])
        elif raised := self._raised(line, pytests):
            self._exception(*raised)
        elif not line.strip():
            self.open = None
        elif self.open is not None:
            self.open.message += "\n" + line.strip()
        elif self.frames and not self.frames[-1].source \
                and re.match(r"^ {4}\s*[^\s~^]", line):
            self.frames[-1].source = line.strip()

    def _member(self):
        # A group's own exception stands before its members.
        if self.found and re.search(r"Group$", self.found[-1].type):
            self.group = self.found[-1]
        self.chained, self.open = False, None

    def _frame(self, frame, after):
        if after:
            frame.source, self.arrow = self.arrow, ""
        if after and self.found and not self.frames and not self.inside \
                and not self.chained and not frame.function:
            self.found[-1].frames.append(frame)  # pytest names it last
            return
        self.frames.append(frame)
        self.open = None

    def _source(self, source):
        if self.frames and not self.frames[-1].source:
            self.frames[-1].source = source.strip()
        else:
            self.arrow = source.strip()

    def _raised(self, line, pytests):
        """Type, message and frames of the exception named here, or None."""
        if warned := _WARNED.match(line):
            return warned["type"], warned["message"], [
                Frame(warned["file"], int(warned["line"]))]
        named = _RAISED.match(line)
        sure = named and (self.inside or pytests or _NAMED.search(
            named["type"])) and (self.open is None or self.inside)
        return sure and (named["type"], named["message"] or "", self.frames)

    def _exception(self, name, message, frames):
        new = Raised(name.rpartition(".")[2], message.strip(), frames,
                     outer=self.group)
        if self.chained and self.found:
            self.found[-1].outer = new
        self.found.append(new)
        self.open, self.frames, self.arrow = new, [], ""
        self.inside = self.chained = False


def _bare(text):
    """The lines of a text, without colours, log prefixes and group bars."""
    prefix = re.compile("")
    for line in _COLOURS.sub("", text).replace("\r", "").splitlines():
        if (head := _PREFIX.match(line)) and not _JUPYTERS_HEAD.match(line):
            # A time in it, or a number, is another one on the next line.
            prefix = re.compile(
                re.sub(r"\d+", r"\\d+", re.escape(head[1].rstrip()))
                + " ?" if head[1] else "")
        line = prefix.sub("", line, count=1)
        yield line if _MEMBER.match(line) else _GROUP.sub("", line, count=1)


def _frame(line):
    """The Frame that a line names, or None."""
    for form in (_PYTHON, _JUPYTER, _PYTEST):
        if found := form.match(line):
            words = found.groupdict()
            return Frame(words["file"] or words["cell"],
                         int(words["line"] or words["number"]),
                         words["function"] or "")
    return None


def _unwrapped(link):
    """``link``, and before it the exception that its message quotes."""
    if quoted := _INNER.match(link.message):
        inner = Raised(quoted["type"].rpartition(".")[2], quoted["message"],
                       outer=link)
        return [*_unwrapped(inner), link]
    return [link]


def _shown(file):
    """A file as it is shown: a kernel's own name for a cell is none."""
    return "a cell" if re.search(r"ipykernel_\d+[/\\]\d+\.py$", file) else file
