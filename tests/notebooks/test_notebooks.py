"""The notebooks are in their stored form, and nbval can go red.

Strict nbval itself runs on ``notebooks/`` beside these tests: see
``testpaths`` and ``addopts`` in pyproject.toml.
"""

import os
import subprocess
import sys

import pytest

from labsupport.authoring import notebooks as authoring
from labsupport.drawing import figure


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


@pytest.mark.parametrize("path", [*authoring.lessons(), authoring.MAP],
                         ids=lambda path: path.stem)
def test_stored_form(path):
    assert not authoring.stale(path), "run 'python3 -m labsupport author'"


@pytest.mark.parametrize("old, new", [
    ('"execution_count": 3', '"execution_count": 4'),
    ('"id": "story-1"', '"id": "story-7"'),
    ("raise NotImplementedError  # yours", "pass"),
    ("[contents](README.md)", "[contents](elsewhere.md)"),
    ('"name": "python3"', '"name": "mine"'),
])
def test_another_form_is_noticed(tmp_path, monkeypatch, old, new):
    good = authoring.lessons()[-1]
    path = tmp_path / good.name
    content = good.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    assert authoring.stale(path)


def test_check_fails_on_another_form(tmp_path):
    good = authoring.lessons()[-1]
    path = tmp_path / good.name
    path.write_text(good.read_text(encoding="utf-8") + "\n")
    assert authoring.main("check", [str(good)]) == 0
    assert authoring.main("check", [str(path)]) == 1


def test_what_is_no_lesson_is_named(tmp_path, capsys):
    other = tmp_path / "other.ipynb"
    other.write_text("{}")
    for name in (other, tmp_path / authoring.lessons()[0].name):
        assert authoring.main("check", [str(name)]) == 2
        assert f"{name} is no lesson: " in capsys.readouterr().err


def test_two_runs_store_the_same(tmp_path):
    """What differs from run to run is not stored: widgets, times, ids."""
    notebook = authoring.read(authoring.lessons()[0])
    notebook.cells = notebook.cells[:4]  # with two predictions
    path = authoring.lessons()[0]
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
    stored = authoring.normalise(authoring.lessons()[0], with_title(notebook))
    assert stored.cells[-1].outputs == []


def test_quick_work_shows_no_progress(mini):
    assert authoring.read(mini(PROGRESS.format(60))).cells[0].outputs == []


def with_title(notebook):
    title = authoring.read(authoring.lessons()[0]).cells[0]
    notebook.cells.insert(0, title)
    return notebook


def test_nbval_passes_what_is_right(mini):
    done = nbval(mini("print(6 * 7)"))
    assert done.returncode == 0, done.stdout


def test_nbval_rejects_another_output(mini):
    path = mini("print(6 * 7)")
    path.write_text(path.read_text().replace("42", "43"))
    assert nbval(path).returncode == 1


FAILURE = """
from labsupport import expect_failure
with expect_failure(ZeroDivisionError):
    print(1 / {})
"""


def test_nbval_rejects_a_failure_that_does_not_happen(mini):
    path = mini(FAILURE.format(0))
    assert nbval(path).returncode == 0
    for options in ((), ("--nbval-lax",)):
        path.write_text(path.read_text().replace("1 / 0", "1 / 1"))
        assert nbval(path, *options).returncode == 1


def test_nbval_alone_would_pass_what_never_ran(mini):
    """Why the structure test asks for execution counts."""
    assert nbval(mini("print(6 * 7)", run=False)).returncode == 0


SHOW = """
from labsupport.drawing.figure import Figure
Figure("<svg>{}</svg>", "a picture", "{}")
"""


def test_nbval_compares_all_of_a_picture_but_the_picture(mini):
    path = mini(SHOW.format("12 ms", "the same"))
    assert nbval(path).returncode == 0
    stored = path.read_text()
    assert stored.count("%3E12 ms") == 1  # in the picture
    path.write_text(stored.replace("%3E12 ms", "%3E13 ms"))
    assert nbval(path).returncode == 0
    for compared in ('alt=\\"a picture', "<pre>the same"):
        assert stored.count(compared) == 1
        path.write_text(stored.replace(compared, compared + " or another"))
        assert nbval(path).returncode == 1, compared


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
