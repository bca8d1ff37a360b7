"""Why a statement is sent: you asked, or the ORM did, and for what."""

from sqlalchemy import event
from sqlalchemy.orm import Session

from .sqlalchemy_private import loaded_along, loads_subclasses

ORIGIN = "labsupport_origin"  # execution option that carries the reason

_wanted = set()  # ids of those who want to know


def want(who):
    """Note from now on why ORM statements are sent.

    The listener stays once it is there, as it may be in use; it costs each
    ORM statement a few microseconds.
    """
    if not event.contains(Session, "do_orm_execute", _note_origin):
        event.listen(Session, "do_orm_execute", _note_origin)
    _wanted.add(id(who))


def want_no_more(who):
    """Note nothing more for ``who``."""
    _wanted.discard(id(who))


def origin(context):
    """What asked for the statement that ``context`` is about to execute."""
    wrote = context.isinsert or context.isupdate or context.isdelete
    return context.execution_options.get(
        ORIGIN, "write" if wrote else "your statement")


def _note_origin(state):
    """Write on an ORM statement why it is sent; the option travels along."""
    if not _wanted:
        return
    why = "your statement"
    if state.is_relationship_load:
        why = ("lazy load of " if state.lazy_loaded_from is not None
               else "eager load of ") + loaded_along(
                   state.loader_strategy_path)
    elif state.is_column_load:
        why = f"refresh of {state.bind_mapper.class_.__name__}"
    elif loads_subclasses(state):
        why = f"eager load of {state.bind_mapper.class_.__name__}"
    state.update_execution_options(**{ORIGIN: why})
