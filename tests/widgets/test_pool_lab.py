"""The pool lab: what is set, what is simulated, what a real run draws."""

import asyncio
import re
from array import array
from math import isnan
from uuid import uuid4

import pytest
from conftest import processes

from labsupport.measuring.process import LoadError
from labsupport.measuring.scenario import CLIENTS, PRESETS, Scenario, summary
from labsupport.widgets.pool_lab import pool_lab
from labsupport.widgets.queue_picture import CODES

SHORT = {"rate": 100, "hold": .05, "pool_size": 2, "max_overflow": 1,
         "pool_timeout": .25}


def tried(scene, labs=1):
    async def run():
        made = [await pool_lab() for _ in range(labs)]
        try:
            return await scene(*made)
        finally:
            for lab in made:
                await lab.end()

    return asyncio.run(run())


def put(lab, **values):
    for name, value in values.items():
        lab.controls.controls[name].value = value


def running(mark):
    """The processes of a run that are there (list of str)."""
    return [one for one in processes(mark) if "pool_process" in one]


async def pressed(lab):
    """Press the button, and wait until what it does has begun."""
    lab.button.click()
    while not lab.button.task or lab.button.description == "Run":
        await asyncio.sleep(0)  # the callback hops to this loop


@pytest.fixture(autouse=True)
def mark(monkeypatch):
    """A mark that the processes of this test carry, and no others."""
    mark = f"LAB_TEST={uuid4()}"
    monkeypatch.setenv(*mark.split("="))
    return mark.encode()


@pytest.fixture
def seconds(monkeypatch):
    """A run takes two seconds."""
    monkeypatch.setattr(Scenario, "seconds", 2.0)
    monkeypatch.setattr("labsupport.measuring.forecast.PILOT", .5)


def test_it_opens_on_the_defaults_and_says_the_same_as_text():
    async def scene(lab):
        return lab.scenario, repr(lab), lab._repr_mimebundle_()

    scenario, text, bundle = tried(scene)
    assert scenario == PRESETS["the defaults"] == Scenario()
    expected = summary(scenario.simulated(), 20)
    for what, number in expected.items():
        assert re.search(rf"^{re.escape(what)} +{re.escape(number)}$", text,
                         re.M), what
    assert bundle["text/plain"] == text
    assert "<img alt=" in bundle["text/html"]
    assert any("widget-view" in kind for kind in bundle)


def test_each_preset_is_one_press_and_one_redraw():
    async def scene(lab):
        drawn = []
        lab.picture.observe(lambda change: drawn.append(change), "simulated")
        for button, scenario in zip(lab.controls.presets, PRESETS.values()):
            drawn.clear()
            button.click()
            assert lab.scenario == scenario, button.description
            # Traits that stay the same are not sent.
            assert len(drawn) == (scenario != Scenario()), button.description
            off = {name for name, control in lab.controls.controls.items()
                   if control.disabled}
            assert off == {"rate" if scenario.who == CLIENTS else "clients"}

    tried(scene)


def test_each_control_draws_another_run():
    async def scene(lab):
        lab.controls.presets[2].click()
        for name, value in (
                ("who", CLIENTS), ("who", "with a burst"), ("rate", 61),
                ("hold", .2), ("speed", 2), ("pool_size", 6),
                ("max_overflow", 1), ("pool_timeout", .5),
                ("pool_recycle", 1), ("pool_pre_ping", True)):
            before = vars(lab.simulated)
            put(lab, **{name: value})
            assert getattr(lab.scenario, name) == value
            assert vars(lab.simulated) != before, name
        before = lab._words.value
        lab.replicas.value = 20
        assert lab._words.value != before
        return lab._words.value, lab.line()

    words, line = tried(scene)
    # 20 replicas × 4 workers × (6 + 1)
    assert "= 560, and the server has 97 for you: × too many" in words
    assert line == ("create_async_engine(url, pool_size=6, max_overflow=1, "
                    "pool_timeout=0.5, pool_recycle=1, pool_pre_ping=True)")


def test_the_page_gets_the_runs_to_the_last_bit():
    async def scene(lab):
        lab.controls.presets[2].click()
        return lab.simulated, lab.picture.simulated

    run, sent = tried(scene)
    for name in ("came", "chosen", "got", "left"):
        numbers = array("d", sent[name])
        assert [None if isnan(one) else one for one in numbers] \
            == getattr(run, name)
    assert None in run.got
    assert [*sent["outcomes"]] == [CODES[one] for one in run.outcomes]
    assert [*array("d", sent["opened"])] == [at for at, _ in run.opened]


def test_a_run_is_real_and_drawn_over_what_was_expected(seconds, mark):
    async def scene(lab):
        put(lab, **SHORT)
        told, drawn = [], []
        lab._words.observe(lambda change: told.append(change.new), "value")
        lab.picture.observe(
            lambda change: drawn.append(len(change.new.get("came", ""))),
            "real")
        await pressed(lab)
        assert lab.button.description == "Stop"
        await lab.button.task
        return lab, told, drawn

    lab, told, drawn = tried(scene)
    assert lab.real.count("timed out") > 0
    assert len(lab.real.came) == len(lab.simulated.came)
    for said in ("It measures what", "It runs …", "the server sees: ",
                 "It has run."):
        assert any(said in words for words in told), said
    assert "the server sees" not in lab._words.value
    assert len({*drawn}) > 3  # it was drawn while it went
    for what, values in lab.numbers().items():
        assert values["real"] == summary(lab.real, 2)[what]
        assert f">{values['real']}</td>" in lab._table.value
    assert "real" in lab.figure().alt and not lab.picture.live
    assert running(mark) == []


@pytest.mark.parametrize("disturb", [
    lambda lab: lab.button.click(),
    lambda lab: put(lab, rate=150)])
def test_a_second_press_or_a_move_stops_the_run(disturb, mark):
    async def scene(lab):
        lab._measured = True
        grown = asyncio.Event()
        lab.picture.observe(lambda _change: grown.set(), "real")
        lab.button.click()
        await grown.wait()
        assert len(running(mark)) == 1
        disturb(lab)
        await lab.button.task
        assert lab.real is None and running(mark) == []
        assert "It was stopped." in lab._words.value
        return lab.button.description

    assert tried(scene) == "Run"


def test_two_labs_run_at_once(seconds):
    async def scene(one, other):
        put(one, **SHORT)
        put(other, **SHORT | {"pool_size": 1, "max_overflow": 0})
        await pressed(one)
        await pressed(other)
        await asyncio.gather(one.button.task, other.button.task)
        return [max(live for _, _, live in lab.real.history())
                for lab in (one, other)]

    assert tried(scene, labs=2) == [3, 1]


def test_a_database_that_is_gone_is_told_and_nothing_is_left(seconds, mark):
    async def scene(lab):
        lab._measured = True
        await lab._database.drop(force=True)
        await pressed(lab)
        await lab.button.task
        told = lab._words.value
        with pytest.raises(LoadError):
            await lab.run()
        return told, lab.real

    words, real = tried(scene)
    assert "It failed. LoadError" in words and "does not exist" in words
    assert real is None and running(mark) == []


def test_the_cpu_is_named_when_it_is_the_limit(seconds):
    async def scene(lab):
        lab._measured = True
        put(lab, **SHORT)
        await lab.run()
        lab.real.cpu = .9
        lab._tell()
        return lab._words.value

    assert "The CPU was the limit" in tried(scene)
