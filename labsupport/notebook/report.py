"""The first cell of a lesson: what it stands on."""

from IPython import get_ipython

from ..environment import release_series, require_versions
from .comms import answer_comms
from .failures import ignore_refused_waits
from .interrupts import keep_interruptible


def report(*databases):
    """Print what this notebook stands on, in lines that stay the same.

    Takes the databases in use. Raises RuntimeError if a package is missing
    or too old. From here on the Stop button reaches a cell that awaits, a
    slider that is moved meanwhile lives on, and a wait that SQLAlchemy
    refuses is told by its exception alone.
    """
    require_versions()
    keep_interruptible()
    answer_comms()
    ignore_refused_waits()
    if shell := get_ipython():
        shell.extension_manager.load_extension("labsupport")
    print(f"SQLAlchemy {release_series()}")
    for database in databases:
        print(database)
