"""A read that is refused, told by the name of the attribute."""

import traceback
from contextlib import contextmanager

from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.orm.exc import DetachedInstanceError

from ...notebook.failures import wrapped
from ...notebook.stacks import your_line
from .leftovers import NotYet


@contextmanager
def reading(**advice):
    """A block in which a refused read raises NotYet, which names it.

    ``advice`` maps names of attributes to what to do about them (str).
    """
    try:
        yield
    except Exception as error:
        *_, first = wrapped(error)
        read = _attribute(error.__traceback__)
        if read is None or not isinstance(
                first, (MissingGreenlet, DetachedInstanceError)):
            raise
        line = your_line(error.__traceback__)
        where = f"your line reads it ({line})" if line else "it is read"
        raise NotYet(
            f"{read} is not loaded when {where}: "
            + advice.get(read.key, "load it before, with an await.")
        ) from None


def _attribute(tb):
    """The mapped attribute that is read in a traceback, or None."""
    callers = (frame.f_locals.get("self") for frame, _
               in traceback.walk_tb(tb))
    return next((one for one in callers
                 if isinstance(one, QueryableAttribute)), None)
