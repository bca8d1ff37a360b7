"""The rules that a lesson keeps. Each yields what is wrong, as sentences.

A notebook of the appendix is evidence: of any length, without exercises.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from statistics import median_low

from .evidence import bent, idle
from .names import taken
from .notebooks import exercise_of, in_appendix, read, role
from .pictures import drawn_bys, has_picture

BODY = ("section", "predict", "settle", "run", "explain", "claim",
        "instrument", "failure", "fix", "setup")
EXERCISE = ("exercise", "stub", "check", "hint", "solution")
ENDING = ("recap", "teardown", "sources")
SPEAKING = ("warmup", "predict", "settle", "claim", "check",
            "teardown")
BANNED = re.compile(
    r"\b(simply|just|obviously|easy|easily|trivial|trivially)\b", re.I)
LINES, COLUMNS, NAMES = 20, 79, 7
LENGTH = {  # least and most
    "cells": (0, 60),
    "words of prose": (1200, 1800),
    "functions": (0, 20),
    "lines in the median code cell": (0, 6),
}


def template_order(path, notebook):
    """title, objectives, warm-up …, in the order of the template."""
    roles = " ".join(role(cell) or "untagged" for cell in notebook.cells)
    one_exercise = " ".join(EXERCISE)
    warmup, mistakes = ("", "(mistakes )?") if in_appendix(path) \
        else ("( warmup){2}", "mistakes ")
    pattern = (rf"title objectives{warmup}( (setup|settle|explain))+ "
               rf"story( ({'|'.join(BODY)}|{one_exercise}))+ "
               rf"{mistakes}{' '.join(ENDING)}")
    if not re.fullmatch(pattern, roles):
        yield f"the cells are not in the template's order: {roles}"


def exercises(path, notebook):
    """Two to four, with ids of this lesson, each cell with its own."""
    ids = [exercise_of(cell) for cell in notebook.cells
           if role(cell) in EXERCISE]
    number = path.name[:2]
    wanted = [f"E{number}.{n}" for n in range(1, len(ids) // 5 + 1)
              for _ in EXERCISE]
    few = 0 if in_appendix(path) else 10
    if ids != wanted or not few <= len(ids) <= 20:
        yield f"the exercises are {ids}"
    for name in dict.fromkeys(filter(None, ids)):
        if name not in notebook.cells[1].source:
            yield f"no objective names {name}"


def headings(path, notebook):
    """One H1, and no level left out."""
    levels = [len(marks) for cell in notebook.cells
              if cell.cell_type == "markdown"
              for marks in re.findall(r"^(#+) ", _prose(cell), re.MULTILINE)]
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"there are {levels.count(1)} headings of level 1"
    for before, after in zip(levels, levels[1:]):
        if after > before + 1:
            yield f"a heading of level {after} follows one of level {before}"


def alt_text(path, notebook):
    """Every picture, in prose and in outputs, says what it shows."""
    for cell in notebook.cells:
        for alt in re.findall(r"!\[(.*?)\]\(", cell.source):
            if len(alt) < 5:
                yield f"{cell.id}: a picture without alt text"
        for attributes in _images(cell):
            if len(attributes.get("alt") or "") < 5:
                yield f"{cell.id}: an <img> without alt text"


def code_size(path, notebook):
    """At most 20 lines of 79 columns."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        if len(lines) > LINES:
            yield f"{cell.id} has {len(lines)} lines"
        if max(map(len, lines), default=0) > COLUMNS:
            yield f"{cell.id} has a line of more than {COLUMNS} columns"


def lengths(notebook):
    """How long a lesson is: the keys of ``LENGTH`` → numbers."""
    code = [cell.source for cell in notebook.cells
            if cell.cell_type == "code"]
    prose = [_prose(cell) for cell in notebook.cells
             if cell.cell_type == "markdown"]
    return dict(zip(LENGTH, (
        len(notebook.cells),
        len(re.findall(r"\w[\w'’-]*", " ".join(prose))),
        len(re.findall(r"^ *(?:async )?def ", "\n".join(code), re.M)),
        median_low(len(source.splitlines()) for source in code))))


def length(path, notebook):
    """A lesson fits into 45 minutes."""
    if in_appendix(path):
        return
    for what, number in lengths(notebook).items():
        least, most = LENGTH[what]
        if not least <= number <= most:
            yield f"{number} {what}: take {least} to {most}"


def ids(path, notebook):
    """Ids of cells that are readable and there once."""
    seen = [cell.id for cell in notebook.cells]
    for one in seen:
        if seen.count(one) > 1 or not re.fullmatch(r"[A-Za-z0-9-]{3,30}", one):
            yield f"the id {one!r} is not good, or there twice"


def new_names(path, notebook):
    """Objectives list at most seven new names, and the code uses each."""
    found = re.search(r"^\*\*New names\*\* (.+)$", notebook.cells[1].source,
                      re.MULTILINE)
    names = re.findall(r"`([^`]+)`", found[1]) if found else []
    if not 1 <= len(names) <= NAMES:
        yield f"{len(names)} new names"
    code = "\n".join(cell.source for cell in notebook.cells
                     if cell.cell_type == "code")
    for name in names:
        if name not in code:
            yield f"{name} is announced and never used"


def words(path, notebook):
    """None of the words that make a beginner feel slow."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for word in BANNED.findall(_prose(cell)):
                yield f"{cell.id}: {word!r}"


def links(path, notebook):
    """A link inside the course leads somewhere, heading included."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", _prose(cell)):
            if target.startswith("https://"):
                continue
            file, _, anchor = target.partition("#")
            aim = path.parent / file if file else path
            if not aim.exists():
                yield f"{cell.id}: {target} does not exist"
            elif anchor and anchor not in anchors(
                    notebook if aim == path else read(aim)):
                yield f"{cell.id}: there is no heading #{anchor}"


def nothing_fetched(path, notebook):
    """No picture, script or style comes from another host."""
    for cell in notebook.cells:
        for source in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", cell.source):
            if "//" in source:
                yield f"{cell.id}: a picture from {source}"
        html = [cell.source] if cell.cell_type == "markdown" else _html(cell)
        for text in html:
            if re.search(r"<(script|link|iframe)\b", text, re.I) \
                    or re.search(r"""(src|href)=["']?(https?:)?//""", text) \
                    or re.search(r"url\((?!%23)|@import", text):
                yield f"{cell.id}: something is fetched"


def executed(path, notebook):
    """Every code cell has run, in order, and says what it has to say."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"the execution counts are {counts}"
    for cell in code:
        if role(cell) in SPEAKING and not cell.outputs:
            yield f"{cell.id} has no output"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{cell.id} ends in an error"
            if output.get("name") == "stderr":
                yield f"{cell.id} writes to stderr"


def failures_are_proved(path, notebook):
    """A cell that fails asserts that it does; tags alone prove nothing."""
    for cell in notebook.cells:
        if "raises-exception" in cell.metadata.get("tags", []):
            yield f"{cell.id} relies on the tag raises-exception"
        if role(cell) == "failure" and not re.search(
                r"expect_failure\(|^assert ", cell.source, re.MULTILINE):
            yield f"{cell.id} asserts no failure"


def cures(path, notebook):
    """Every pain that is provoked is cured in the same lesson."""
    tags = {tag for cell in notebook.cells
            for tag in cell.metadata.get("tags", [])}
    for tag in sorted(tags):
        if tag.startswith("pain-") and tag.replace("pain", "cure") not in tags:
            yield f"{tag} has no cure"


def predictions(path, notebook):
    """Every question is settled later, once, by what the run has found."""
    asked, settled = [], []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            asked += re.findall(r'^predict\("(.+?)"\)', cell.source, re.M)
            for found in re.findall(r'^settle\("(.+?)", ', cell.source, re.M):
                if found not in asked:
                    yield f"{found} is settled before it is asked"
                settled.append(found)
    if sorted(asked) != sorted(settled):
        yield f"asked {sorted(asked)}, settled {sorted(settled)}"


def evidence(path, notebook):
    """A claim can come out otherwise, on an interpreter as it comes."""
    for where, part in idle(notebook):
        yield f"{where}: no run can change {part}"
    for where, switch in bent(notebook):
        yield f"{where}: {switch} makes a run that nobody has"


def names(path, notebook):
    """After Run All, a function still has its name."""
    for name in taken(notebook):
        yield f"a later cell gives {name} to something else"


def pictures(path, notebook):
    """No stored picture is older than the code that draws it."""
    for cell, drawn_by in zip(notebook.cells, drawn_bys(notebook)):
        if has_picture(cell) and cell.metadata.get("drawn_by") != drawn_by:
            yield f"{cell.id}: the picture is older than its code"


RULES = (template_order, exercises, headings, alt_text, code_size, length,
         ids, new_names, words, links, nothing_fetched, executed,
         failures_are_proved, cures, predictions, evidence, names, pictures)


def faults(path: Path, notebook):
    """All that is wrong with a lesson (list of str)."""
    return [f"{rule.__name__}: {fault}" for rule in RULES
            for fault in rule(path, notebook)]


def _prose(cell):
    """The source without fenced code."""
    return re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)


def _html(cell):
    return [output.data["text/html"] for output in cell.get("outputs", [])
            if "text/html" in output.get("data", {})]


def _images(cell):
    found = []

    class Images(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "img":
                found.append(dict(attributes))

    texts = _html(cell)
    if cell.cell_type == "markdown":
        texts.append(_prose(cell))
    for text in texts:
        Images().feed(text)
    return found


def anchors(notebook):
    """Anchors as JupyterLab makes them: spaces become hyphens."""
    return {text.strip().replace(" ", "-") for cell in notebook.cells
            if cell.cell_type == "markdown"
            for text in re.findall(r"^#+ (.+)$", _prose(cell), re.MULTILINE)}
