"""The notebooks are in their stored form, and nbval can go red.

Strict nbval itself runs on ``notebooks/`` beside these tests: see
``testpaths`` and ``addopts`` in pyproject.toml.
"""

import os
import subprocess
import sys
from xml.etree import ElementTree

import kernel_ports
import nbformat
import pytest

from labsupport.authoring import __main__ as commands
from labsupport.authoring import notebooks as authoring
from labsupport.authoring import pictures
from labsupport.drawing import figure

GOOD = authoring.NOTEBOOKS / "08_missing_greenlet.ipynb"
START = authoring.NOTEBOOKS / "00_start_here.ipynb"


def nbval(path, *options, **environment):
    """Run nbval on ``path`` as the suite does; the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
         "-p", "kernel_ports",
         "-c", str(authoring.ROOT / "pyproject.toml"), "--rootdir",
         str(path.parent), "--noconftest", *options, str(path)],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(
            [str(authoring.ROOT), str(authoring.ROOT / "tests")]),
            **environment})


def passed(directory):
    """What nbval says of a directory: notebook (stem) → passed (bool)."""
    report = directory / "report.xml"
    done = nbval(directory, "--junit-xml", str(report))
    assert done.returncode in (0, 1), done.stdout
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname").split(".")[-2]
        found[name] = found.get(name, True) and not len(case)
    return found


@pytest.mark.parametrize("old, new", [
    ('"execution_count": 3', '"execution_count": 4'),
    ('"id": "story-1"', '"id": "story-7"'),
    ("raise NotImplementedError  # yours", "pass"),
    ("[contents](README.md)", "[contents](elsewhere.md)"),
    ('"name": "python3"', '"name": "mine"'),
])
def test_another_form_is_noticed(tmp_path, monkeypatch, old, new):
    good = GOOD
    path = tmp_path / good.name
    content = good.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    assert authoring.stale(path)


def test_check_fails_on_another_form(tmp_path):
    good = GOOD
    path = tmp_path / good.name
    path.write_text(good.read_text(encoding="utf-8") + "\n")
    assert commands.main("check", [str(good)]) == 0
    assert commands.main("check", [str(path)]) == 1


def test_what_is_no_lesson_is_named(tmp_path, capsys):
    other = tmp_path / "other.ipynb"
    other.write_text("{}")
    for name in (other, tmp_path / authoring.lessons()[0].name):
        assert commands.main("check", [str(name)]) == 2
        assert f"{name} is no lesson: " in capsys.readouterr().err


def test_two_runs_store_the_same(tmp_path):
    """What differs from run to run is not stored: widgets, times, ids."""
    notebook = authoring.read(START)
    notebook.cells = notebook.cells[:4]  # with two predictions
    path = START
    texts = {authoring.text(authoring.normalise(
        path, authoring.execute(path, notebook))) for _ in range(2)}
    assert len(texts) == 1 and "model_id" not in texts.pop()


PROGRESS = """
import asyncio
from labsupport.notebook import progress
progress.PATIENCE = {}
with progress.progress("Starting the server"):
    await asyncio.sleep(0.1)
"""


def test_progress_is_shown_and_leaves_no_trace(mini):
    notebook = authoring.read(mini(PROGRESS.format(0)))
    assert list(notebook.cells[0].outputs[0].data) == [authoring.WIDGET]
    stored = authoring.normalise(START, with_title(notebook))
    assert stored.cells[-1].outputs == []


def test_quick_work_shows_no_progress(mini):
    assert authoring.read(mini(PROGRESS.format(60))).cells[0].outputs == []


def with_title(notebook):
    title = authoring.read(START).cells[0]
    notebook.cells.insert(0, title)
    return notebook


SUM = "print(6 * 7)"
FAILURE = """
from labsupport import expect_failure
with expect_failure(ZeroDivisionError):
    print(1 / 0)
"""
SHOW = """
from labsupport.drawing.figure import Figure
Figure("<svg>12 ms</svg>", "a picture", "the same")
"""
CHANGED = {  # name → (cell, what is replaced in the file, by what)
    "right": (SUM, "42", "42"),
    "another_output": (SUM, "42", "43"),
    "fails_as_it_should": (FAILURE, "1 / 0", "1 / 0"),
    "does_not_fail": (FAILURE, "1 / 0", "1 / 1"),
    "shows": (SHOW, "12 ms", "12 ms"),
    "another_picture": (SHOW, "%3E12 ms", "%3E13 ms"),
    "another_alt_text": (SHOW, 'alt=\\"a picture', 'alt=\\"another'),
    "another_text_twin": (SHOW, "<pre>the same", "<pre>not the same"),
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A directory with the notebooks CHANGED, and one that never ran."""
    directory = tmp_path_factory.mktemp("changed")
    notebook = nbformat.v4.new_notebook(metadata=authoring.METADATA)
    notebook.cells = [nbformat.v4.new_code_cell(source)
                      for source in (SUM, FAILURE, SHOW)]
    authoring.execute(START, notebook)
    ran = {cell.source: cell for cell in notebook.cells}
    for name, (source, old, new) in CHANGED.items():
        notebook.cells = [ran[source]]
        text = nbformat.writes(notebook)
        assert old in text
        (directory / f"{name}.ipynb").write_text(text.replace(old, new))
    notebook.cells = [nbformat.v4.new_code_cell(SUM)]
    nbformat.write(notebook, directory / "never_ran.ipynb")
    return directory


def test_nbval_rejects_what_is_wrong_and_nothing_else(changed):
    """It compares all of a picture but the picture, and would pass what
    never ran: that is why the structure test asks for execution counts."""
    found = passed(changed)
    assert set(found) == {*CHANGED, "never_ran"}
    assert {name for name in found if not found[name]} == {
        "another_output", "does_not_fail", "another_alt_text",
        "another_text_twin"}


def test_even_lax_rejects_a_failure_that_does_not_happen(changed):
    done = nbval(changed / "does_not_fail.ipynb", "--nbval-lax")
    assert done.returncode == 1


def test_authoring_leaves_out_what_nbval_leaves_out():
    rules = (authoring.ROOT / "tests" / "sanitize.cfg").read_text()
    assert f"regex: {authoring.PICTURE.pattern}\n" in rules
    assert rules.count("regex:") == 1


def test_a_picture_with_other_times_is_no_change():
    def outputs(times, alt):
        return [{"data": {"text/html":
                          figure.Figure(times, alt, "t")._repr_html_()}}]

    same = authoring._compared(outputs("<svg>1</svg>", "alt"))
    assert same == authoring._compared(outputs("<svg>2</svg>", "alt"))
    assert same != authoring._compared(outputs("<svg>1</svg>", "other"))


def test_a_kernel_gets_a_port_that_no_connection_gets():
    from jupyter_client.connect import LocalPortCache

    ports = {LocalPortCache.instance().find_available_port("127.0.0.1")
             for _ in range(20)}
    assert len(ports) == 20 and max(ports) < 32_768


def test_no_two_workers_choose_one_port():
    ports = [port for number in range(kernel_ports.WORKERS)
             for port in kernel_ports.ports_of(f"gw{number}")]
    assert len(set(ports)) == len(ports) and max(ports) < 32_768


def test_a_picture_ages_with_what_draws_it():
    drawn = {path.stem: {one.stem for one in pictures.drawn_with(
        authoring.read(path))} for path in authoring.lessons()}
    assert "cost_chart" in drawn["09_eager_loading"]
    assert "cost_chart" not in drawn["01_async_engine"]
    assert {"svg", "looks", "timeline"} <= drawn["01_async_engine"]
