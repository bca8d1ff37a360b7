"""The map of the course, ``notebooks/README.md``: its tables are derived."""

import re

from .notebooks import NOTEBOOKS, appendix, heading, lessons, read

MAP = NOTEBOOKS / "README.md"


def stale():
    """Whether the tables are not those of today's notebooks (bool)."""
    return current() != MAP.read_text(encoding="utf-8")


def current():
    """The map (str) with its tables written anew.

    Raises ValueError if the marks around a table are gone.
    """
    old = MAP.read_text(encoding="utf-8")
    for name, paths in (("lessons", lessons()), ("appendix", appendix())):
        rows = ["", "| lesson | minutes reading + exercises | servers |",
                "|---|---|---|", *map(_row, paths)]
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, mark, rest = old.partition(begin)
        _, end, after = rest.partition(end)
        if not (mark and end):
            raise ValueError(f"the marks around the table of the {name} "
                             "are gone")
        old = before + mark + "\n".join(rows) + "\n\n" + end + after
    return old


def _row(path):
    """The row (str) of a notebook in the map."""
    notebook = read(path)
    facts = dict(re.findall(r"^\*\*(Time|Runs on)\*\* (.+)$",
                            notebook.cells[1].source, re.MULTILINE))
    minutes = " + ".join(re.findall(r"\d+", facts["Time"]))
    place = path.relative_to(NOTEBOOKS).as_posix()
    return (f"| [{heading(notebook)}]({place}) | {minutes} "
            f"| {facts['Runs on'].rstrip('.')} |")
