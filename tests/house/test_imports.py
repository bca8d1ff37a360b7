"""Importing a module of labsupport changes nothing but sys.modules."""

import os
import subprocess
import sys

from conftest import ROOT

# A process that has all that labsupport imports; each piece of code that it
# is given runs in a fork of it, which prints what it has changed.
LOOK = """
import gc, logging, os, signal, sys, threading, warnings
import aiomysql, aiosqlite, asyncmy, asyncpg, psycopg
import IPython, ipywidgets, nbclient, nbformat, pydantic
import sqlalchemy.ext.asyncio, sqlalchemy.orm
from sqlalchemy import event

heard = []

def listen(target, name, *_, **__):
    if isinstance(target, type):  # for each Engine, Pool, Session …
        heard.append((target, name))

event.listen = event.api.listen = listen

def state():
    return {
        "event listeners": list(heard),
        "warnings": list(warnings.filters),
        "threads": threading.active_count(),
        "signals": [signal.getsignal(one) for one in signal.valid_signals()],
        "environment": dict(os.environ),
        "sys.path": list(sys.path),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "garbage collector": (gc.isenabled(), gc.get_threshold()),
    }

for code in sys.argv[1:]:
    if os.fork() == 0:
        before = state()
        exec(code)
        after = state()
        print(code, [one for one in before if before[one] != after[one]],
              flush=True)
        os._exit(0)
    os.wait()
"""
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    .removesuffix(".__init__")
    for path in sorted((ROOT / "labsupport").rglob("*.py"))]


def changed(*codes):
    """What each piece of code changes (list of str)."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *codes], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_an_import_has_no_side_effect():
    imports = [f"import {module}" for module in MODULES]
    assert changed(*imports) == [f"{one} []" for one in imports]


EFFECTS = {
    "event.listens_for(sqlalchemy.Engine, 'connect')(print)":
        "event listeners",
    "warnings.filterwarnings('ignore')": "warnings",
    "threading.Thread(target=signal.pause, daemon=True).start()": "threads",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)": "signals",
    "os.environ['A'] = 'b'": "environment",
    "sys.path.append('.')": "sys.path",
    "sys.excepthook = print": "hooks",
    "logging.basicConfig()": "logging",
    "gc.disable()": "garbage collector",
}


def test_a_side_effect_is_noticed():
    assert changed(*EFFECTS) == [f"{code} ['{what}']"
                                 for code, what in EFFECTS.items()]
