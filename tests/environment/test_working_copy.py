"""``my-notebooks`` keeps the learner's work and follows the course."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from labsupport import working_copy


@pytest.fixture
def course(tmp_path):
    """A course of two lessons with a picture: (originals, copy)."""
    originals = tmp_path / "notebooks"
    (originals / "images").mkdir(parents=True)
    (originals / "images" / "one.svg").write_text("<svg/>")
    (originals / ".ipynb_checkpoints").mkdir()
    (originals / ".ipynb_checkpoints" / "x.ipynb").write_text("{}")
    for name in ("00_a.ipynb", "03_b.ipynb"):
        write(originals / name, "1 + 1")
    return originals, tmp_path / "my-notebooks"


def write(path, source, output=None):
    path.write_text(json.dumps({"metadata": {}, "cells": [
        {"cell_type": "code", "source": source, "outputs": [output]}]}))


def source(path):
    return json.loads(path.read_text())["cells"][0]["source"]


def shown(copy):
    return sorted(str(path.relative_to(copy)) for path in copy.rglob("*")
                  if path.is_file() and path.name != working_copy.TAKEN)


def test_all_is_copied_at_first(course):
    assert working_copy.refresh(*course) == []
    assert shown(course[1]) == ["00_a.ipynb", "03_b.ipynb",
                                "images/one.svg"]


def test_what_was_run_is_kept_and_what_was_not_changed_follows(course):
    originals, copy = course
    working_copy.refresh(*course)
    write(copy / "00_a.ipynb", ["1 +", " 1"], "2")
    working_copy.refresh(*course)
    assert '"2"' in (copy / "00_a.ipynb").read_text()
    write(originals / "00_a.ipynb", "1 + 2")
    write(originals / "07_new.ipynb", "new")
    (originals / "images" / "one.svg").write_text("<svg>2</svg>")
    assert working_copy.refresh(*course) == []
    assert source(copy / "00_a.ipynb") == "1 + 2"
    assert source(copy / "07_new.ipynb") == "new"
    assert (copy / "images" / "one.svg").read_text() == "<svg>2</svg>"


def test_what_was_changed_is_kept_and_told_until_it_is_restored(course):
    originals, copy = course
    working_copy.refresh(*course)
    write(copy / "03_b.ipynb", "mine")
    assert working_copy.refresh(*course) == []  # nothing new to tell
    write(originals / "03_b.ipynb", "1 + 2")
    for _ in range(2):
        assert working_copy.refresh(*course) == ["03_b.ipynb"]
        assert source(copy / "03_b.ipynb") == "mine"
    told = working_copy.restore("03", *course)
    assert "03_b.mine-1.ipynb" in told
    assert source(copy / "03_b.ipynb") == "1 + 2"
    assert source(copy / "03_b.mine-1.ipynb") == "mine"
    assert working_copy.refresh(*course) == []


def test_restoring_twice_loses_nothing(course):
    _, copy = course
    for number in (1, 2):
        working_copy.refresh(*course)
        write(copy / "00_a.ipynb", f"mine {number}")
        working_copy.restore("notebooks/00_a.ipynb", *course)
        assert source(copy / f"00_a.mine-{number}.ipynb") == f"mine {number}"
    (copy / "images" / "one.svg").write_text("mine")
    working_copy.restore("one.svg", *course)
    assert (copy / "images" / "one.mine-1.svg").read_text() == "mine"
    before = shown(copy)
    assert "yours" not in working_copy.restore("00", *course)
    assert shown(copy) == before


@pytest.mark.parametrize("word, complaint", [
    ("9", "'9' names no lessons: name one of 00_a, 03_b"),
    ("0", "'0' names 2 lessons"),
    ("", "'' names 3 lessons"),
])
def test_a_word_that_names_no_lesson(course, word, complaint):
    with pytest.raises(LookupError, match=complaint):
        working_copy.restore(word, *course)


@pytest.mark.parametrize("ruin", ["", "[]", "{", "\x00"])
def test_a_lost_list_loses_no_work(course, ruin):
    originals, copy = course
    working_copy.refresh(*course)
    write(copy / "03_b.ipynb", "mine")
    (copy / working_copy.TAKEN).write_text(ruin)
    assert working_copy.refresh(*course) == []
    for lesson in originals.glob("*.ipynb"):
        write(lesson, "1 + 2")
    assert working_copy.refresh(*course) == ["03_b.ipynb"]
    assert source(copy / "00_a.ipynb") == "1 + 2"
    assert source(copy / "03_b.ipynb") == "mine"


def test_half_a_notebook_is_the_learners(course):
    originals, copy = course
    working_copy.refresh(*course)
    (copy / "00_a.ipynb").write_text('{"cells": [')
    write(originals / "00_a.ipynb", "1 + 2")
    assert working_copy.refresh(*course) == ["00_a.ipynb"]


def test_an_original_that_only_ran_again_disturbs_nobody(course):
    originals, copy = course
    working_copy.refresh(*course)
    write(copy / "00_a.ipynb", "1 + 1", "the learner's output")
    write(originals / "00_a.ipynb", "1 + 1", "another output")
    assert working_copy.refresh(*course) == []
    assert "learner's" in (copy / "00_a.ipynb").read_text()


def test_git_does_not_see_it():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    ignored = subprocess.run(
        ["git", "check-ignore", "my-notebooks/00_start_here.ipynb", ".venv",
         ".venv-lab-0/pyvenv.cfg"], cwd=ROOT, capture_output=True, text=True)
    assert len(ignored.stdout.split()) == 3


def test_every_link_between_lessons_works_in_the_copy(tmp_path):
    """Relative links of the lessons lead to files that are copied."""
    import re

    working_copy.refresh(copy=tmp_path / "copy")
    links = {(name, link) for name in shown(tmp_path / "copy")
             if name.endswith((".ipynb", ".md"))
             for link in re.findall(
                 r"\]\(([^)#:\s]+)[^):]*\)",
                 (tmp_path / "copy" / name).read_text(encoding="utf-8"))}
    assert len(links) > 20
    for name, link in links:
        place = tmp_path / "copy"
        if link.startswith(".."):  # the copy stands where the originals do
            place = ROOT / "notebooks"
        target = (place / name).parent / link
        assert target.exists(), (name, link)


def test_the_command(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks" / "03_b.ipynb", "1")
    place = tmp_path / "labsupport"
    place.mkdir()
    for name in ("__init__", "__main__", "bootstrap", "working_copy"):
        text = (ROOT / "labsupport" / f"{name}.py").read_text()
        (place / f"{name}.py").write_text(text)

    def restore(*words):
        return subprocess.run(
            [sys.executable, "-m", "labsupport", "restore", *words],
            cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": ""})

    assert restore("03").returncode == 0
    write(tmp_path / "my-notebooks" / "03_b.ipynb", "mine")
    assert "03_b.mine-1.ipynb" in restore("03").stdout
    for words, complaint in (((), "Which lesson?"), (("9",), "no lessons")):
        done = restore(*words)
        assert done.returncode == 2 and complaint in done.stderr
        assert len(done.stderr.splitlines()) == 1
