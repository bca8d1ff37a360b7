"""``lab``: a learner's JupyterLab, with what stands in its way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, need
from machine import wait

from labsupport import lab
from labsupport.servers import NotInstalled
from labsupport.servers.starting import free_port

CHROMIUM = next((path for path in map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome")) if path), None)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the course, with nothing to commit."""
    place = tmp_path_factory.mktemp("lab") / "clone"
    for name in ("labsupport", "notebooks"):
        shutil.copytree(ROOT / name, place / name, ignore=
                        shutil.ignore_patterns("__pycache__", ".ipynb_*"))
    shutil.copy(ROOT / ".gitignore", place)
    git(place, "init", "--quiet")
    git(place, "add", ".")
    git(place, "-c", "user.name=x", "-c", "user.email=x@x", "commit",
        "--quiet", "-m", "x")
    return place


def git(place, *words):
    return subprocess.run(["git", *words], cwd=place, check=True, text=True,
                          capture_output=True).stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Variables that give Jupyter a home of its own."""
    place = tmp_path_factory.mktemp("home")
    inherited = {name: value for name, value in os.environ.items()
                 if not name.startswith(("JUPYTER", "IPYTHON", "XDG"))}
    return {**inherited, "HOME": str(place)}


def words(*arguments):
    return [sys.executable, "-c", "import kernel_ports, sys; "
            "from labsupport import lab; sys.exit(lab.main(sys.argv[1:]))",
            "--no-browser", *arguments]


def path_of(clone):
    return os.pathsep.join([str(clone), str(ROOT / "tests")])


@pytest.fixture
def served(clone, home):
    """JupyterLab as a learner starts it: its URL with the token."""
    with subprocess.Popen(
            words(f"--port={free_port()}", "--ServerApp.port_retries=0",
                  "--LabApp.expose_app_in_browser=True"),
            cwd=clone, env={**home, "PYTHONPATH": path_of(clone)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            told = []
            for line in server.stdout:
                told.append(line)
                if found := re.search(r"http://127.0.0.1:\d+/lab\S*", line):
                    break
            else:
                pytest.fail("".join(told))
            wait(lambda: of_api(found[0], "api"), "the server is silent")
            yield found[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.stdout.read()  # so that it can go on writing


def of_api(url, path):
    """What the server says (JSON) at ``path``, or None before it listens."""
    base, token = re.match(r"(.+?)lab[/?].*token=(\w+)", url).groups()
    try:
        with urllib.request.urlopen(f"{base}{path}?token={token}") as answer:
            return json.load(answer)
    except urllib.error.URLError:
        return None


def test_it_opens_the_copy_with_settings_of_the_course(served, clone):
    assert "/lab/tree/my-notebooks/00_start_here.ipynb?" in served
    saved = json.loads((lab.SETTINGS / "overrides.json").read_text())
    for plugin, wanted in saved.items():
        schema = of_api(served, f"lab/api/settings/{plugin}")["schema"]
        for name, value in wanted.items():
            default = schema["properties"][name]["default"]
            if isinstance(value, dict):  # merged into what is there
                assert default.items() >= value.items(), plugin
            else:
                assert default == value, plugin
    assert git(clone, "status", "--porcelain") == ""


def test_a_second_one_says_where_the_first_runs(served, clone, home):
    told = subprocess.run(
        words(), cwd=clone, capture_output=True, text=True, timeout=100,
        env={**home, "PYTHONPATH": path_of(clone)})
    assert told.returncode == 0, told.stderr
    port, token = re.search(r":(\d+)/.*token=(\w+)", served).groups()
    assert re.search(rf"runs in this folder already: http://\S+:{port}/lab"
                     rf"\?token={token} ", told.stdout)


def test_one_that_has_died_is_no_first_one(clone, tmp_path, monkeypatch):
    """Its file stays, and another process may have its number."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "jpserver-1.json").write_text(json.dumps(
        {"pid": os.getpid(), "port": free_port(), "root_dir": str(clone)}))
    assert lab.running(clone) is None


STATE = """() => {
  const shell = window.jupyterapp.shell;
  const shown = [...shell.widgets('left'), ...shell.widgets('right')]
    .filter(one => one.isVisible).map(one => one.id);
  const names = [...document.querySelectorAll('.jp-DirListing-itemText')];
  return {path: shell.currentWidget?.context?.path, shown,
          whole: names.length > 5
            && names.every(one => one.scrollWidth <= one.clientWidth),
          news: document.querySelectorAll('.Toastify__toast').length};
}"""
# JupyterLab shows idle, and cells that are run then may wait for ever: the
# kernel has to have answered once.
ANSWERS = """async () => (await window.jupyterapp.shell.currentWidget.context
  .sessionContext.session.kernel.requestExecute({code: '', silent: true})
  .done).content.status"""
RUN_FIRST = """async () => {
  const {commands, shell} = window.jupyterapp;
  const notebook = shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.findIndex(
    one => one.model.type === 'code');
  notebook.activeCell.model.sharedModel.setSource(
    notebook.activeCell.model.sharedModel.source + ' # mine');
  await commands.execute('notebook:run-cell');
}"""
SAVE = """async () => {
  const {commands, shell} = window.jupyterapp;
  await commands.execute('docmanager:save');
  await shell.currentWidget.context.sessionContext.shutdown();
}"""


def test_work_is_kept_and_the_layout_shows_names_and_contents(
        request, clone, home):
    need(CHROMIUM, "no chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    served = request.getfixturevalue("served")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--disable-gpu"],
            chromium_sandbox=os.geteuid() != 0)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(served)
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.context"
            "?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=60_000)
        page.locator(".jp-TableOfContents-tree").first.wait_for()
        state = page.evaluate(STATE)
        (ROOT / "screenshots").mkdir(exist_ok=True)
        page.screenshot(path=ROOT / "screenshots" / "lab.png")
        assert state["path"] == "my-notebooks/00_start_here.ipynb"
        assert {"filebrowser", "table-of-contents"} <= set(state["shown"])
        assert state["whole"] and state["news"] == 0
        assert page.evaluate(ANSWERS) == "ok"
        page.evaluate(RUN_FIRST)
        page.locator("button[title^=P00]").nth(1).click(timeout=60_000)
        noted = page.locator("[role=status]", has_text="noted: B")
        noted.wait_for()
        page.evaluate(SAVE)
        page.goto("about:blank")
        # The next day: no kernel, and the question is there, answered.
        page.goto(served)
        noted.wait_for(timeout=60_000)
        browser.close()
    assert git(clone, "status", "--porcelain") == ""
    lesson = clone / "my-notebooks" / "00_start_here.ipynb"
    assert " # mine" in lesson.read_text()


def test_a_home_that_cannot_be_written_to(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch(0o600)
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    assert lab.unwritable() == []
    below = str(tmp_path / "file" / "below")  # root may not, either
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", below)
    assert lab.unwritable() == [below]
    assert lab.main([]) == 2
    told = capsys.readouterr().err
    assert told == (f"Jupyter cannot write to {below}: make it writable, or "
                    "set HOME to a directory that you may write to.\n")


def test_a_missing_server_is_told_in_one_line(monkeypatch):
    def missing():
        raise NotInstalled("No MariaDB is installed: do this.")

    monkeypatch.delenv("LAB_MYSQL_URL", raising=False)
    monkeypatch.setattr(lab, "mariadb_programs", lambda: ("a", "b"))
    assert lab.missing_servers() == []
    monkeypatch.setattr(lab, "mariadb_programs", missing)
    assert lab.missing_servers() == [
        "No MariaDB is installed: do this. Until then lesson 03 shows "
        "recorded results."]
    monkeypatch.setenv("LAB_MYSQL_URL", "mysql://a:b@c")
    assert lab.missing_servers() == []


def test_what_is_kept_is_told_and_arguments_go_on(monkeypatch, capsys):
    for name, answer in (("unwritable", []), ("running", None),
                         ("trust", None), ("lay_out", None),
                         ("missing_servers", ["No such server."])):
        monkeypatch.setattr(lab, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(lab.working_copy, "refresh", lambda: ["03_x.ipynb"])
    monkeypatch.setattr("jupyterlab.labapp.main", lambda words: words)
    words = lab.main(["--no-browser", "--port=9"])
    assert words == [*lab.options(ROOT), "--no-browser", "--port=9"]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2 and told[1] == "No such server."
    assert told[0].startswith("03_x.ipynb is new in the course")
    assert "'python3 -m labsupport restore 03_x.ipynb'" in told[0]
