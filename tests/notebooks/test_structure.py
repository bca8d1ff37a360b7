"""The lessons keep the rules, and each rule rejects a lesson that does not."""

import copy
import json
import re

import nbformat
import pytest
from conftest import ROOT

from labsupport.authoring import course_map
from labsupport.authoring.notebooks import (
    NOTEBOOKS,
    course,
    role,
    stale,
)
from labsupport.authoring.rules import (
    LENGTH,
    RULES,
    faults,
    lengths,
)

PATHS = course()
GOOD = NOTEBOOKS / "08_missing_greenlet.ipynb"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_lesson_keeps_the_rules(path):
    assert faults(path, nbformat.read(path, 4)) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stored_form(path):
    assert not stale(path), "run 'python3 -m labsupport author'"


def test_the_map_is_that_of_the_notebooks(monkeypatch, tmp_path):
    assert not course_map.stale(), "run 'python3 -m labsupport author'"
    old = tmp_path / "README.md"
    old.write_text(course_map.current().replace("| 15 + 0 |", "| 1 + 0 |"))
    monkeypatch.setattr(course_map, "MAP", old)
    assert course_map.stale()


EVIDENCE = NOTEBOOKS / "appendix" / "a4_claims.ipynb"


@pytest.mark.parametrize("rule, tag", [
    ("template_order", "recap"), ("executed", "outputs")])
def test_the_appendix_keeps_rules(rule, tag):
    notebook = nbformat.read(EVIDENCE, 4)
    assert lengths(notebook)["words of prose"] < LENGTH["words of prose"][0]
    if tag == "outputs":
        never_ran(notebook)
    else:
        drop_tag(tag)(notebook)
    assert {fault.partition(":")[0] for fault in faults(EVIDENCE, notebook)} \
        >= {rule}


def cell(notebook, wanted):
    return next(one for one in notebook.cells if role(one) == wanted)


def replace(wanted, old, new):
    def break_it(notebook):
        target = cell(notebook, wanted)
        assert old in target.source
        target.source = target.source.replace(old, new)
    return break_it


def swap_first_cells(notebook):
    notebook.cells[0], notebook.cells[1] = notebook.cells[1], notebook.cells[0]


def picture_without_alt(notebook):
    cell(notebook, "predict").outputs[0].data["text/html"] = \
        '<img src="data:">'


def picture_from_elsewhere(notebook):
    cell(notebook, "predict").outputs[0].data["text/html"] = (
        '<img alt="a picture" src="https://example.org/a.png">')


def picture_of_other_code(notebook):
    instrument = cell(notebook, "instrument")
    instrument.outputs[-1].data["text/html"] = (
        '<img alt="a picture" src="data:image/svg+xml,">')
    instrument.metadata["drawn_by"] = "other code"


def never_ran(notebook):
    for one in notebook.cells:
        if one.cell_type == "code":
            one.outputs, one.execution_count = [], None


def lost_output(notebook):
    cell(notebook, "claim").outputs = []


def stored_error(notebook):
    cell(notebook, "fix").outputs = [nbformat.v4.new_output(
        "error", ename="MissingGreenlet", evalue="", traceback=[])]


def stored_stderr(notebook):
    cell(notebook, "fix").outputs = [nbformat.v4.new_output(
        "stream", name="stderr", text="SAWarning")]


def tag_only(notebook):
    cell(notebook, "failure").metadata.tags.append("raises-exception")


def unproved_failure(notebook):
    cell(notebook, "failure").source = "try:\n    1 / 0\nexcept: pass"


def drop_tag(prefix):
    def break_it(notebook):
        for one in notebook.cells:
            one.metadata.tags = [tag for tag in one.metadata.tags
                                 if not tag.startswith(prefix)]
    return break_it


def other_evidence(evidence, before=""):
    """A claim with ``evidence`` (Python), after a cell with ``before``."""
    def break_it(notebook):
        notebook.cells += [nbformat.v4.new_code_cell(source) for source in (
            before, f'claim("C60", {evidence})')]
    return break_it


def cells_of(*sources):
    def break_it(notebook):
        notebook.cells += map(nbformat.v4.new_code_cell, sources)
    return break_it


def same_id_twice(notebook):
    notebook.cells[3].id = notebook.cells[2].id


def more(kind, source, number):
    def break_it(notebook):
        new = getattr(nbformat.v4, f"new_{kind}_cell")
        notebook.cells += [new(source) for _ in range(number)]
    return break_it


def drop_exercises(notebook):
    notebook.cells = [one for one in notebook.cells if not any(
        re.fullmatch(r"E\d\d\.[2-9]", tag) for tag in one.metadata.tags)]


BROKEN = [
    ("template_order", swap_first_cells),
    ("template_order", drop_tag("recap")),
    ("exercises", drop_exercises),
    ("exercises", replace("objectives", "(E08.3)", "")),
    ("headings", replace("story", "## The", "# The")),
    ("headings", replace("story", "## The", "#### The")),
    ("alt_text", replace("title", "[Run this lesson on Binder]", "[]")),
    ("alt_text", picture_without_alt),
    ("code_size", replace("claim", "\n", "\n" * 15)),
    ("code_size", replace("claim", "assert", "assert " + "True and " * 9)),
    ("length", more("markdown", "", 60)),
    ("length", more("markdown", "word " * 900, 1)),
    ("length", more("code", "def f():\n    pass\n\n\n" * 5, 4)),
    ("length", more("code", "pass\n" * 12, 60)),
    ("ids", same_id_twice),
    ("new_names", replace("objectives", "`run_sync`", "`run_sync`, `extra`")),
    ("new_names", replace("objectives", "`run_sync`", "`never_used`")),
    ("words", replace("story", "You have", "You simply have")),
    ("links", replace("objectives", "00_start_here", "00_no_such")),
    ("links", replace("objectives", "#Mistakes", "#Errors")),
    ("nothing_fetched", picture_from_elsewhere),
    ("nothing_fetched", replace("title", "images/binder.svg",
                                "https://mybinder.org/badge_logo.svg")),
    ("executed", never_ran),
    ("executed", lost_output),
    ("executed", stored_error),
    ("executed", stored_stderr),
    ("failures_are_proved", tag_only),
    ("failures_are_proved", unproved_failure),
    ("cures", drop_tag("cure-07")),
    ("predictions", replace("settle", "settle(", "print(")),
    ("predictions", replace("predict", "P08.", "P07.")),
    ("evidence", other_evidence('{"it waits": True}')),
    ("evidence", other_evidence('{"it waits": seconds > 1}', "seconds = 2")),
    ("evidence", other_evidence('{"it waits": "a" in found}',
                                'found = {}\nfound["a"] = 1')),
    ("evidence", other_evidence('{"it waits": asyncio.Queue() is not None}',
                                "import asyncio")),
    ("evidence", other_evidence(
        '{"it waits": waits}',
        "async with engine.connect():\n    waits = True")),
    ("evidence", other_evidence(
        '{"it waits": await waits()}',
        "async def waits():\n    await engine.connect()\n    return True")),
    ("evidence", other_evidence('{"it waits": await run() or True}')),
    ("evidence", other_evidence('{"so": await run()}',
                                "sys.setswitchinterval(9)")),
    ("evidence", other_evidence('{"so": await run()}',
                                "from gc import set_threshold")),
    ("names", cells_of("def ask(): pass", "ask()", "ask = 1")),
    ("names", cells_of("def ask(): pass", "ask()", "def ask(it): pass")),
    ("names", cells_of("class Shop: pass", "await Shop().open()",
                       "async with it as Shop:\n    pass")),
    ("names", cells_of("def ask(): pass\ndef go():\n    return [ask() for _ in"
                       " it]", "ask = go()")),
    ("pictures", picture_of_other_code),
]


@pytest.mark.parametrize("rule, break_it", BROKEN)
def test_rule_rejects(rule, break_it):
    notebook = copy.deepcopy(nbformat.read(GOOD, 4))
    break_it(notebook)
    assert any(fault.startswith(f"{rule}:")
               for fault in faults(GOOD, notebook))


@pytest.mark.parametrize("evidence, before", [
    ('{"it waits": waited}', "waited = bool(await engine.connect())"),
    ('{"it waits": seen["it"]}',
     'seen = {}\nasync with engine.connect():\n    seen["it"] = True'),
    ('{"it is there": hasattr(exc, "TimeoutError")}',
     "from sqlalchemy import exc"),
    ('{"so": await run()}', ""),
    ('{"so": waits}', "waits = None\nasync with engine.connect():\n"
                      "    waits = True"),
    ('{"so": await waits()}', "async def waits():\n    with suppress(OSError):"
                              "\n        return True"),
])
def test_evidence_that_a_run_can_change(evidence, before):
    notebook = nbformat.read(GOOD, 4)
    other_evidence(evidence, before)(notebook)
    assert [fault for fault in faults(GOOD, notebook)
            if fault.startswith("evidence:")] == []


@pytest.mark.parametrize("sources", [
    ("def ask(): pass\nask()", "ask = 1\nprint(ask)"),  # needed by itself
    ("ask = 1", "def ask(): pass", "ask()"),
    ("def ask(): pass", "ask()", "def ask(): pass"),
    ("def ask(): pass", "ask()", "def go(ask):\n    ask = 1"),
])
def test_names_that_may_be_given_again(sources):
    notebook = nbformat.read(GOOD, 4)
    cells_of(*sources)(notebook)
    assert [fault for fault in faults(GOOD, notebook)
            if fault.startswith("names:")] == []


def test_every_rule_is_shown_to_reject():
    assert {name for name, _ in BROKEN} == {rule.__name__ for rule in RULES}


def test_every_notebook_is_a_lesson():
    assert sorted(NOTEBOOKS.rglob("*.ipynb")) == sorted(PATHS)


# Address of a public thread that a notebook links to → the sentence that it
# supports: a reader who opens it can check.
THREADS = ROOT / "tests" / "threads.json"
THREAD = re.compile(
    r"https://(?:github\.com/[\w.-]+/[\w.-]+/(?:issues|discussions|pull)/\d+"
    r"|(?:stackoverflow\.com|groups\.google\.com|discuss\.[\w.]+)/[^\s)]+)")


def disagreements(lessons, supported):
    """What to add to the list of threads, or to take out (list of str)."""
    linked = {}
    for name, notebook in lessons.items():
        for one in notebook.cells:
            for thread in THREAD.findall(one.source):
                linked.setdefault(thread, f"{name} {one.id}")
    return [*(f'add to tests/threads.json: "{thread}": "what it supports." '
              f"(linked in {linked[thread]})"
              for thread in linked if thread not in supported),
            *(f"take out of tests/threads.json: {thread}, linked nowhere"
              for thread in supported if thread not in linked)]


def test_each_linked_thread_is_listed_and_each_listed_one_is_linked(lessons):
    supported = json.loads(THREADS.read_text(encoding="utf-8"))
    assert disagreements(lessons, supported) == []
    assert list(supported) == sorted(supported), "in order, each once"
    for thread, sentence in supported.items():
        assert len(sentence.split()) > 3 and sentence[-1] == ".", thread


@pytest.mark.parametrize("thread", [
    "https://github.com/sqlalchemy/sqlalchemy/issues/1",
    "https://github.com/sqlalchemy/sqlalchemy/discussions/1",
    "https://github.com/sqlalchemy/sqlalchemy/pull/1",
    "https://stackoverflow.com/questions/1/a-title",
    "https://groups.google.com/g/sqlalchemy/c/1",
    "https://discuss.python.org/t/1"])
def test_a_thread_on_one_side_only_is_noticed(thread):
    notebook = nbformat.read(GOOD, 4)
    known = dict.fromkeys(THREAD.findall(nbformat.writes(notebook)), "So.")
    assert disagreements({GOOD.name: notebook}, known) == []
    replace("story", "You have", f"You have [a bug]({thread}), and")(notebook)
    assert disagreements({GOOD.name: notebook}, known) == [
        f'add to tests/threads.json: "{thread}": "what it supports." '
        f"(linked in {GOOD.name} story-1)"]
    assert disagreements({}, {thread: "So."}) == [
        f"take out of tests/threads.json: {thread}, linked nowhere"]


# A failure of lessons 05 and 06 → the cells that provoke it, those that cure
# it, and what stands in each of them: the fault, or who meets it.
CURES = ROOT / "tests" / "cures.json"
HELD_TO_CURES = ("06_pool_failures", "appendix/a7_pool_cases")
ROLES = {"failures": "failure", "cures": "fix"}


def uncured(lessons, listed):
    """What is wrong with the list of failures and cures (list of str)."""
    there = {f"{name.removesuffix('.ipynb')} {one.id}": one
             for name, notebook in lessons.items() for one in notebook.cells}
    found, seen = [], set()
    for failure, case in listed.items():
        for side, wanted in ROLES.items():
            found += [] if case[side] else [f"{failure}: no {side}"]
            for place in case[side]:
                seen.add(place)
                one = there.get(place)
                if one is None or role(one) != wanted:
                    found.append(f"{failure}: {place} is no {wanted}")
                elif case["under"] not in one.source:
                    found.append(f"{failure}: {place} is under another fault")
                elif not re.search(r"expect_failure\(|^ *assert ", one.source,
                                   re.MULTILINE):
                    found.append(f"{failure}: {place} asserts nothing")
    return found + [f"{place} is not in tests/cures.json"
                    for place, one in there.items()
                    if place.startswith(HELD_TO_CURES)
                    and role(one) in ROLES.values() and place not in seen]


def test_each_failure_of_a_pool_is_held_to_its_cure(lessons):
    assert uncured(lessons, json.loads(CURES.read_text("utf-8"))) == []


@pytest.mark.parametrize("change, says", [
    ({"cures": []}, "no cures"),
    ({"failures": ["06_pool_failures fix-1"]}, "fix-1 is no failure"),
    ({"cures": ["06_pool_failures fix-99"]}, "fix-99 is no fix"),
    ({"under": "drill("}, "failure-1 is under another fault"),
    ({"cures": ["06_pool_failures fix-9"]}, "fix-9 is under another fault")])
def test_a_failure_without_its_cure_is_noticed(lessons, change, says):
    listed = json.loads(CURES.read_text("utf-8"))
    listed["a leak"] |= change
    assert any(says in one for one in uncured(lessons, listed))


def test_a_cell_that_no_list_holds_or_that_asserts_nothing_is_noticed(lessons):
    listed = json.loads(CURES.read_text("utf-8"))
    cured = listed.pop("a leak")["cures"][0]
    assert f"{cured} is not in tests/cures.json" in uncured(lessons, listed)
    name, wanted = "06_pool_failures.ipynb", cured.split()[1]
    bare = copy.deepcopy(lessons[name])
    one = next(one for one in bare.cells if one.id == wanted)
    one.source = one.source.replace("assert ", "print(")
    assert uncured({**lessons, name: bare},
                   json.loads(CURES.read_text("utf-8"))) \
        == [f"a leak: {cured} asserts nothing"]
