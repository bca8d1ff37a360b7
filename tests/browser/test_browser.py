"""The lessons in JupyterLab, in a real browser, as a learner opens them.

With ``--screenshots`` they go to ``screenshots/``, which git ignores.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, need

from labsupport import working_copy
from labsupport.authoring import notebooks as authoring
from labsupport.lab import options
from labsupport.measuring.scenario import PRESETS
from labsupport.servers.starting import free_port

SHOTS = ROOT / "screenshots"
FOLDER = working_copy.COPY.name
CHROMIUM = next((path for path in map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome")) if path), None)
QUIET = ["--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run", "--disable-quic",
         "--disable-gpu"]
THEME = """theme => window.jupyterapp.commands.execute(
  'apputils:change-theme', {theme})"""

READY = """async () => {
  const widget = window.jupyterapp?.shell?.currentWidget;
  if (!widget?.context) return false;
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  const kernel = widget.context.sessionContext.session?.kernel;
  return kernel?.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
# A status of idle is not enough: JupyterLab shows it although a kernel has
# lost what was asked first (ipykernel before 7.4): it has to have answered.
ANSWERS = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.context
    .sessionContext.session.kernel;
  const late = new Promise(resolve => setTimeout(resolve, 5000));
  const reply = await Promise.race([
    kernel.requestExecute({code: '', silent: true}).done, late]);
  return reply?.content.status === 'ok';
}"""
CAN_RUN = """() =>
  window.jupyterapp.commands.isEnabled('notebook:run-all-cells')"""
RUN_ALL = """() => {
  window.jupyterapp.commands.execute('notebook:run-all-cells'); }"""
RESULT = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const cells = notebook.widgets.map(one => one.model)
    .filter(model => model.type === 'code')
    .map(model => model.sharedModel.toJSON());
  const waiting = cells.filter(one => one.execution_count === null);
  return {ran: cells.length - waiting.length,
          all: cells.length,
          next: waiting.length ? waiting[0].id : null,
          errors: cells.flatMap(one => one.outputs.filter(
              output => output.output_type === 'error')
            .map(output => output.ename + ': ' + output.evalue
                 + ' in cell ' + one.id + ':\\n' + one.source))};
}"""
CLEAR = """() => window.jupyterapp.commands.execute(
  'notebook:clear-all-cell-outputs')"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on a copy of the notebooks: (URL, token)."""
    home = tmp_path_factory.mktemp("lab")
    working_copy.refresh(copy=home / FOLDER)
    port, token = free_port(), secrets.token_hex(16)
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(  # what it says, pytest shows where one fails
        [sys.executable, "-c", "import kernel_ports; from jupyterlab.labapp "
         "import main; main()", *options(home), "--no-browser",
         f"--ServerApp.port={port}", f"--IdentityProvider.token={token}",
         "--LabApp.expose_app_in_browser=True",
         "--ServerApp.port_retries=0", "--ServerApp.log_level=DEBUG"],
        cwd=home,
        env={**os.environ,
             "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
             "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")})
    try:
        wait_for(server, f"{url}/api?token={token}")
        yield url, token
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(server, url):
    """Until ``url`` answers; fails if the process ends."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except urllib.error.HTTPError:
            return  # not what was asked for, and an answer
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def browser():
    """A chromium with one cache: JupyterLab is fetched and compiled once."""
    need(CHROMIUM, "no chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=QUIET,
            chromium_sandbox=os.geteuid() != 0)
        yield chromium.new_context(
            viewport={"width": 1280, "height": 1000}, color_scheme="light")
        chromium.close()


@pytest.fixture
def page(browser, request):
    """A fresh page, and the hosts it has asked (page.hosts)."""
    page = browser.new_page()
    page.screenshots = request.config.option.screenshots
    page.hosts = set()
    for event in ("request", "websocket"):
        page.on(event, lambda what: page.hosts.add(
            urlsplit(what.url).hostname))
    yield page
    page.close()


def until(page, script, good, seconds=120):
    """Evaluate ``script`` until ``good(value)``; returns the value.

    Fails when the value has not changed for ``seconds``.
    """
    value, deadline = None, time.monotonic() + seconds
    while True:
        last, value = value, None
        try:
            value = page.evaluate(script)
        except Exception as error:  # the page is still loading
            if "navigation" not in str(error) \
                    and "destroyed" not in str(error):
                raise
        if value is not None and good(value):
            return value
        if value != last:
            deadline = time.monotonic() + seconds
        if time.monotonic() > deadline:
            SHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SHOTS / "failure.png")
            pytest.fail(f"last seen: {value}, by {script}")
        page.wait_for_timeout(100)


def open_lesson(page, lab, path):
    url, token = lab
    place = path.relative_to(authoring.NOTEBOOKS).as_posix()
    page.goto(f"{url}/doc/tree/{FOLDER}/{place}?token={token}&reset")
    until(page, READY, bool)
    until(page, CAN_RUN, bool)
    until(page, ANSWERS, bool)


def test_the_door_leads_to_the_first_lesson(page, lab):
    url, token = lab
    page.goto(f"{url}/?token={token}")
    until(page, READY, bool)
    shown = page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.path")
    assert shown == f"{FOLDER}/00_start_here.ipynb"
    page.wait_for_timeout(1500)  # a pop-up would come late
    shoot(page, "door", whole=False)
    assert page.locator(".Toastify__toast").count() == 0


# What the appendix has, these have, too; nbval runs it as it runs them.
@pytest.mark.parametrize("path", authoring.lessons(),
                         ids=lambda path: path.stem)
def test_run_all(page, lab, path):
    open_lesson(page, lab, path)
    page.evaluate(CLEAR)
    until(page, RESULT, lambda result: not result["errors"])
    page.evaluate(RUN_ALL)
    result = until(page, RESULT, lambda one: one["ran"] == one["all"]
                   or one["errors"])
    until(page, READY, bool)
    assert result["errors"] == []
    # Scrolled to, cells are drawn. Light and dark ask for the same.
    for scheme in ("light", "dark") if page.screenshots else ("light",):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(THEME, f"JupyterLab {scheme.title()}")
        shoot(page, f"{path.stem}-{scheme}")
    hosts = {host for host in page.hosts if host}
    assert hosts <= {"127.0.0.1"}, hosts


RUN_FIRST = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.findIndex(
    one => one.model.type === 'code');
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""


def test_a_prediction_with_the_keyboard(page, lab):
    open_lesson(page, lab, authoring.NOTEBOOKS / "08_missing_greenlet.ipynb")
    page.evaluate(CLEAR)
    # That cell alone: JupyterLab moves the focus while it runs others.
    page.evaluate(RUN_FIRST)
    until(page, RESULT, lambda one: one["ran"] == 1)
    until(page, READY, bool)
    # The second option of the first question, without a mouse.
    button = page.locator("button[title^='P08.1']").first
    button.wait_for(timeout=60_000)
    button.focus()
    for key in ("Tab", "Enter"):
        page.keyboard.press(key)
    reply = page.locator("[role=status]", has_text="noted: B.")
    reply.wait_for(timeout=30_000)
    shoot(page, "prediction", whole=False)


RUN_NEW = """source => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = 0;
  notebook.model.sharedModel.insertCell(0, {
    cell_type: 'code', source, metadata: {}, outputs: [], id: 'new'});
  notebook.activeCellIndex = 0;
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""
# From a key to the picture that it changes, in ms, for each key.
REDRAWS = """() => {
  window.redraws = []; let pressed = 0;
  const picture = document.querySelector('img[alt^="What it costs"]')
    .closest('.jupyter-widgets');
  document.addEventListener(
    'keydown', () => { pressed = performance.now(); }, true);
  new MutationObserver(() => window.redraws.push(
      performance.now() - pressed))
    .observe(picture, {childList: true, subtree: true});
}"""


def test_the_loader_explorer_with_the_keyboard(page, lab):
    """Each key redraws, and a run of the database is drawn over it."""
    open_lesson(page, lab, authoring.NOTEBOOKS / "00_start_here.ipynb")
    page.evaluate(CLEAR)
    page.evaluate(RUN_NEW, "from labsupport import loader_explorer\n"
                  "explorer = await loader_explorer()\nexplorer")
    picture = page.locator("img[alt^='What it costs']")
    picture.wait_for(timeout=60_000)
    page.evaluate(REDRAWS)
    handle = page.get_by_role("slider").first
    handle.focus()
    for number in range(31, 71):  # the first is slow: of 20 it was the p95
        page.keyboard.press("ArrowRight")
        page.locator(f"img[alt*='load {number} artists']").wait_for()
    spent = sorted(page.evaluate("() => window.redraws"))
    print("ms from key to picture, p50 and p95:",
          spent[len(spent) // 2], spent[len(spent) * 95 // 100])
    assert len(spent) >= 40 and spent[len(spent) // 2] < 500
    page.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("It has run.").wait_for(
        timeout=60_000)
    shoot(page, "explorer-run", whole=False)
    assert page.locator("code", has_text="SELECT … FROM track").count() == 1


LAB_REDRAWS = """() => {
  window.redraws = []; let pressed = 0;
  document.addEventListener(
    'keydown', () => { pressed = performance.now(); }, true);
  new MutationObserver(() => window.redraws.push(
      performance.now() - pressed))
    .observe(document.querySelector('.queue-picture .drawn'),
             {childList: true});
}"""
DRAWN = """() => document.querySelector('.queue-picture img').src
  + document.querySelector('.queue-picture').parentElement.innerText"""
SHOWN = """() => {
  const {second, simulated, real} =
    document.querySelector('.queue-picture').dataset;
  return {second: Number(second), simulated, real};
}"""
SEEK = """second => {
  const slider = document.querySelector('.queue-picture input');
  slider.value = second;
  slider.dispatchEvent(new Event('input'));
}"""


def counts(run, second):
    """What the picture shows of a Run at a second, as its data says it."""
    state = run.at(second)
    return (f"{len(state.waiting)},{len(state.preparing)},"
            f"{len(state.served)},{state.live}")


def test_the_pool_lab(page, lab):
    """Sliders, the moving queue, a live run: by keyboard, as the model."""
    open_lesson(page, lab, authoring.NOTEBOOKS / "00_start_here.ipynb")
    page.evaluate(CLEAR)
    page.evaluate(RUN_NEW, "from labsupport import pool_lab\n"
                  "lab = await pool_lab()\nlab")
    page.locator(".queue-picture").wait_for(timeout=60_000)
    shoot(page, "pool-lab", whole=False)

    page.get_by_role("button", name="too small").click()
    page.locator("code", has_text="pool_timeout=2").wait_for()
    sliders = page.get_by_role("slider")
    for number in (0, 2, 3, 4, 5, 6, 7):  # all but that of the clients
        before = page.evaluate(DRAWN)
        sliders.nth(number).focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"before => ({DRAWN})() !== before",
                               arg=before)
    page.get_by_role("button", name="the knee").click()
    page.locator("code", has_text="max_overflow=0").wait_for()
    knee = PRESETS["the knee"].simulated()
    for second in (0, 3.33, 7.5, 19.99):
        expected = {"second": second, "simulated": counts(knee, second),
                    "real": None}
        page.evaluate(SEEK, second)
        # The picture comes a moment after the text that was waited for.
        until(page, SHOWN, lambda one: one == expected)
    shoot(page, "pool-lab-knee", whole=False)

    page.evaluate(LAB_REDRAWS)
    sliders.nth(0).focus()
    for rate in range(46, 66):
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"() => window.redraws.length > {rate - 46}")
    spent = sorted(page.evaluate("() => window.redraws"))
    print("ms from key to picture, p50 and p95:",
          spent[len(spent) // 2], spent[len(spent) * 95 // 100])
    assert spent[len(spent) // 2] < 500

    play = page.get_by_role("button", name="Play")
    page.evaluate(SEEK, 1)
    play.click()
    until(page, SHOWN, lambda one: one["second"] > 2)
    shoot(page, "pool-lab-plays", whole=False)
    page.get_by_role("button", name="Pause").click()

    page.get_by_role("button", name="impatient").click()
    page.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Enter")
    live = until(page, SHOWN, lambda one: one["real"]
                 and 5 < one["second"] < 19)
    shoot(page, "pool-lab-live", whole=False)
    assert live["real"] != "0,0,0,0"
    page.get_by_role("status").get_by_text("It has run.").wait_for(
        timeout=60_000)
    shoot(page, "pool-lab-run", whole=False)


TWO_LABS = """
import labsupport.measuring.forecast
from ipywidgets import VBox
from labsupport import pool_lab
from labsupport.measuring.scenario import Scenario

Scenario.seconds = 3.0
labsupport.measuring.forecast.PILOT = 0.5
one, two = await pool_lab(), await pool_lab()
VBox([one, two])"""
GONE = """
await one.end()
await two._database.drop(force=True)"""
INTERRUPT = """() => window.jupyterapp.shell.currentWidget.context
  .sessionContext.session.kernel.interrupt()"""


def test_two_pool_labs(page, lab):
    """Both run; one is moved, stopped, interrupted, and runs again."""
    open_lesson(page, lab, authoring.NOTEBOOKS / "00_start_here.ipynb")
    page.evaluate(CLEAR)
    page.evaluate(RUN_NEW, TWO_LABS)
    page.locator(".queue-picture").nth(1).wait_for(timeout=60_000)
    buttons = page.locator("button[title='drive a real pool on this "
                           "schedule']")
    says = page.get_by_role("status").filter(has_text=re.compile(
        "^(It |$)"))
    first, second = [(buttons.nth(number), says.nth(number))
                     for number in (0, 1)]

    def run(button, _):
        assert button.inner_text() == "Run"
        button.click()
        button.get_by_text("Stop").wait_for()

    def told(lab, words):
        lab[1].get_by_text(words).wait_for(timeout=60_000)
        lab[0].get_by_text("Run").wait_for()

    run(*first)
    run(*second)
    sliders = page.get_by_role("slider")
    sliders.nth(sliders.count() // 2).focus()  # the rate of the second
    page.keyboard.press("ArrowRight")
    told(second, "It was stopped. Run takes what is set now.")
    told(first, "It has run.")  # the other one is not disturbed
    run(*second)
    second[0].click()
    told(second, "It was stopped.")
    run(*second)
    page.evaluate(INTERRUPT)
    told(second, "It has run.")
    page.evaluate(RUN_NEW, GONE)
    until(page, READY, bool)
    run(*second)
    told(second, "It failed.")
    shoot(page, "pool-lab-gone", whole=False)


SLIDER = """import asyncio, ipywidgets
from labsupport import report
report()
seen, slider = [], ipywidgets.IntSlider(description="moved")
slider.observe(lambda change: seen.append(change["new"]), "value")
slider"""
AWAITS = """async with asyncio.timeout(60):
    while {number} not in seen:
        await asyncio.sleep(0.05)"""


def test_a_slider_moved_while_a_cell_awaits(page, lab):
    """Each of two cells sees it move; it does not die of the first."""
    open_lesson(page, lab, authoring.NOTEBOOKS / "00_start_here.ipynb")
    page.evaluate(CLEAR)
    page.evaluate(RUN_NEW, SLIDER)
    handle = page.get_by_role("slider").first
    handle.wait_for(timeout=60_000)
    for number in (1, 2):
        page.evaluate(RUN_NEW, AWAITS.format(number=number))
        page.locator(".jp-InputArea-prompt", has_text="[*]").first.wait_for()
        handle.focus()
        page.keyboard.press("ArrowRight")
        result = until(page, RESULT, lambda one: one["errors"]
                       or one["ran"] == number + 1)
        assert result["errors"] == []


def test_the_pool_lab_as_a_page(page):
    url = f"http://127.0.0.1:{free_port()}"
    answered = set()  # its policy refuses to ask for what is elsewhere
    page.on("requestfinished",
            lambda what: answered.add(urlsplit(what.url).hostname))
    server = subprocess.Popen(
        [sys.executable, "-m", "labsupport.pool_lab_page", "--no-browser",
         f"--port={urlsplit(url).port}"], cwd=ROOT)
    try:
        wait_for(server, f"{url}/static")
        page.goto(url)
        page.locator(".queue-picture img").wait_for(timeout=60_000)
        page.get_by_role("button", name="too small").click()
        page.locator("code", has_text="pool_timeout=2").wait_for()
        if page.screenshots:
            page.screenshot(path=SHOTS / "pool-lab-page.png")
        assert answered - {None, ""} == {"127.0.0.1"}
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_cell_that_fails_is_seen(page, lab):
    """The probe that finds no error in the lessons can find one."""
    open_lesson(page, lab, authoring.NOTEBOOKS / "00_start_here.ipynb")
    page.evaluate(RUN_NEW, "1 / 0")
    result = until(page, RESULT, lambda one: one["errors"])
    assert re.fullmatch(r"ZeroDivisionError: .* in cell new:\n1 / 0",
                        result["errors"][0])


def test_a_request_to_elsewhere_is_seen(page, lab):
    page.goto("about:blank")
    page.evaluate("fetch('http://localhost:9/').catch(() => null)")
    assert "localhost" in page.hosts


def shoot(page, name, whole=True):
    """Go over what is on the screen, with ``whole`` over all the notebook.

    Saves it in pieces if there is the option ``--screenshots``.
    """
    scroller = page.locator(".jp-WindowedPanel-outer").first
    height = scroller.evaluate("one => one.scrollHeight")
    for number in range(-(-height // 900) if whole else 1):
        if whole:
            scroller.evaluate(f"one => one.scrollTo(0, {900 * number})")
            page.wait_for_timeout(50)
        if page.screenshots:
            SHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SHOTS / f"{name}-{number:02}.png")
