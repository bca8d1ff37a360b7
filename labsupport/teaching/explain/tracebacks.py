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
_JUPYTERS_ARROW = re.compile(r"^-+> ?\d+ (?P<source>.+)")
_PYTESTS_ARROW = re.compile(r"^> {2,}(?P<source>.+)")
_RAISED = re.compile(r"^(?P<type>(?:\w+\.)*\w+)(?:: ?(?P<message>.*))?$")
_WARNED = re.compile(
    r"^(?P<file>[^\s:]+|<[^>]+>):(?P<line>\d+): "
    r"(?P<type>[A-Z]\w*Warning): (?P<message>.*)$")
_INNER = re.compile(r"^\((?P<type>(?:\w+\.)*\w+)\) (?P<message>.*)", re.S)
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
        return yours(self.file)

    def __str__(self):
        where = f"line {self.line} of {_shown(self.file)}"
        return f"{self.source}  ({where})" if self.source else where


@dataclass(eq=False)
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
        for link in self.way_out():
            for frame in reversed(link.frames):
                if frame.yours:
                    return frame
        return None

    def way_out(self):
        """This Raised, then the one that wraps it, and so on."""
        link = self
        while link is not None:
            yield link
            link = link.outer


def of(error):
    """The Raised of a live exception, in the order of its traceback."""
    return parse("".join(traceback.format_exception(error)))


def parse(text):
    """The Raised that ``text`` (str) tells of, in its order (list).

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
        self.last = None  # what the next exception may wrap
        self.group = None  # whose members are read
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
            self._member(line)
        elif found := _frame(line):
            self._frame(found, pytests=_PYTEST.match(line))
        elif (arrow := _JUPYTERS_ARROW.match(line)) and self.frames:
            self.frames[-1].source = arrow["source"].strip()
        elif arrow := _PYTESTS_ARROW.match(line):
            self.arrow = arrow["source"]  # its frame is named below
        elif raised := self._raised(line, pytests):
            self._exception(*raised)
        elif not line.strip():
            self.open = None
        elif self.open is not None:
            self.open.message += "\n" + line.strip()
        elif re.match(r"^ {4}\s*[^\s~^]", line):
            self._source(line)

    def _member(self, line):
        """A rule before the first member of a group, the next, or its end."""
        if "+-+" in line:
            self.group = self.last
        elif self.group and not re.search(r"\d", line):
            self.last, self.group = self.group, self.group.outer
        self.open = None

    def _frame(self, frame, pytests):
        if pytests:
            frame.source, self.arrow = self.arrow, ""
        alone = not (self.inside or self.frames or self.chained)
        if alone and self.last and not (pytests and frame.function):
            # pytest names the innermost line below the exception, and
            # FastAPI your endpoint.
            self.last.frames.append(frame)
        else:
            self.frames.append(frame)
        self.open = None

    def _source(self, source):
        frames = self.frames or (self.last.frames if self.last else [])
        if frames and not frames[-1].source:
            frames[-1].source = source.strip()

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
        if self.chained and self.last:
            self.last.outer = new
        self.found.append(new)
        self.last = new
        self.open, self.frames, self.arrow = new, [], ""
        self.inside = self.chained = False


def _bare(text):
    """The lines of a text, without colours, log prefixes and group bars."""
    prefix = re.compile("")
    for line in _COLOURS.sub("", text).replace("\r", "").splitlines():
        head = _PREFIX.match(line)
        if head and not _JUPYTERS_HEAD.match(line) \
                and not (prefix.pattern and prefix.match(line)):
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
