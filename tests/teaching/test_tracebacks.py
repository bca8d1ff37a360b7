"""Tracebacks as people paste them: recorded ones, logs, groups of groups."""

import traceback
from pathlib import Path

import pytest

from labsupport.teaching.explain import explain
from labsupport.teaching.explain.tracebacks import parse

RECORDED = sorted(Path(__file__).with_name("tracebacks").glob("*.txt"))
LAZY = ("sqlalchemy.exc.MissingGreenlet: greenlet_spawn has not been called; "
        "can't call await_() here. Was IO attempted in an unexpected place?")
PYTHON = f"""Traceback (most recent call last):
  File "/srv/shop/app.py", line 12, in titles
    return artist.albums
           ^^^^^^^^^^^^^
  File "/srv/shop/.venv/lib/python3.11/site-packages/sqlalchemy/orm/\
strategies.py", line 975, in _emit_lazyload
    result = session.execute(
             ^^^^^^^^^^^^^^^^
{LAZY}
"""


def known(text):
    """Id of the rule that knows a text, or None."""
    found = explain(text)
    return found and found.rule.id


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_traceback(path):
    text = path.read_text(encoding="utf-8")
    assert known(text) == path.name.split(".")[0]
    lines = {
        "asyncio-run.alembic.txt": "asyncio.run(run_async_migrations())  "
        "(line 83 of /srv/shop/migrations/env.py)",
        "lazy-load.fastapi.txt": "return [album.title for album in "
        "artist.albums]  (line 70 of /srv/shop/main.py)",
        "lazy-load.jupyter.txt": "print(artist.albums)  (line 3 of Cell "
        "In[2])",
        "lazy-load.pytest.txt": "assert artist.albums  (line 10 of "
        "test_shop.py)",
        "lazy-load.pytest-short-colours.txt": "assert artist.albums  (line "
        "10 of test_shop.py)",
        # This FastAPI names the endpoint; an older one says nothing.
        "serialiser.fastapi-2.1.txt": "GET /artists/{number}  (line 62 of "
        "/srv/shop/main.py)",
        "serialiser.fastapi-2.0.txt": "",
    }
    assert explain(text).line == lines[path.name]


@pytest.mark.parametrize("prefix", [
    "web-1  | ", "2026-07-01 12:00:{:02},123 ERROR app: ",
    "Jul  1 12:00:{:02} host gunicorn[812]: ",
    "[ERROR] 2026-07-01T12:{:02}Z "])
def test_behind_the_prefix_of_a_log(prefix):
    lines = PYTHON.splitlines() + ["", "During handling of the above "
                                   "exception, another exception occurred:",
                                   "", *PYTHON.splitlines()]
    text = "\n".join(prefix.format(number) + line
                     for number, line in enumerate(lines))
    assert known(text) == "lazy-load"
    assert explain(text).line == \
        "return artist.albums  (line 12 of /srv/shop/app.py)"
    assert len(parse(text)) == 2


@pytest.mark.parametrize("prefix", ["", "web-1  | ",
                                    "12:00:{:02} app ERROR "])
def test_a_group_of_groups(prefix):
    def raised(error, cause=None):
        try:
            raise error from cause
        except Exception as caught:
            return caught

    inner = raised(ExceptionGroup("inner", [
        raised(ValueError("b\nc"), raised(OSError("e"))),
        raised(TypeError("d"), raised(OSError("e")))]))
    outer = raised(ExceptionGroup("outer", [inner, raised(KeyError("f"))]))
    text = "".join(traceback.format_exception(
        raised(RuntimeError("around"), outer)))
    text = "\n".join(prefix.format(number % 60) + line
                     for number, line in enumerate(text.splitlines()))
    found = {link.message.strip("'").split(" (")[0]: link
             for link in parse(text)}
    ways = {message: [outer.type for outer in link.way_out()]
            for message, link in found.items()}
    groups = ["ExceptionGroup", "ExceptionGroup", "RuntimeError"]
    assert ways["b\nc"] == ["ValueError", *groups]
    assert ways["d"] == ["TypeError", *groups]
    assert ways["f"] == ["KeyError", *groups[1:]]
    assert ways["outer"] == groups[1:]


def test_a_message_alone():
    assert known(LAZY) == "missing-greenlet"
    assert known(LAZY.partition(": ")[2]) == "missing-greenlet"
    assert known("deadlock detected") == "deadlock"
    assert known("QueuePool limit of size 5 overflow 10 reached, connection "
                 "timed out, timeout 30.00") == "pool-limit"


def test_what_is_logged_and_not_raised():
    assert known("/srv/shop/app.py:7: RuntimeWarning: coroutine 'titles' was "
                 "never awaited") == "never-awaited"
    assert known("The garbage collector is trying to clean up non-checked-in "
                 "connection <AdaptedConnection …>, which will be "
                 "terminated.") == "leak"


def test_a_warning_below_a_traceback_is_not_the_cause():
    text = PYTHON + "sys:1: RuntimeWarning: coroutine 'f' was never awaited\n"
    assert known(text) == "lazy-load"


def test_your_line_is_looked_for_on_the_way_out():
    text = """Traceback (most recent call last):
  File "asyncpg/protocol/protocol.pyx", line 207, in bind_execute
asyncpg.exceptions.DeadlockDetectedError: deadlock detected

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "C:\\shop\\app.py", line 3, in move
    await session.commit()
  File "C:\\Python312\\Lib\\site-packages\\sqlalchemy\\x.py", line 4, in f
sqlalchemy.exc.DBAPIError: (sqlalchemy.dialects.postgresql.asyncpg.Error) no
"""
    assert known(text) == "deadlock"
    assert explain(text).line == \
        "await session.commit()  (line 3 of C:\\shop\\app.py)"


def test_a_kernels_name_for_a_cell_is_not_shown():
    text = PYTHON.replace("/srv/shop/app.py", "/tmp/ipykernel_71/982.py")
    assert explain(text).line == "return artist.albums  (line 12 of a cell)"


@pytest.mark.parametrize("text", [
    "AssertionError: expected 'deadlock detected'",
    "The tests pass, and yesterday's MissingGreenlet is gone.",
    "TypeError: 'list' object does not support the context manager protocol",
    "socket.gaierror: [Errno -2] Name or service not known"])  # of whom?
def test_whose_words_alone_are_known_is_a_stranger(text):
    assert known(text) is None
    assert known(PYTHON.replace(LAZY, text)) is None
