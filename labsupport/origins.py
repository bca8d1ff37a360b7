"""Why a statement is sent: you asked, or the ORM did, and for what."""

from sqlalchemy import event
from sqlalchemy.orm import Session

ORIGIN = "labsupport_origin"  # execution option that carries the reason

wanted = set()  # who wants to know; while nobody does, nothing is noted


def origin(context):
    """What asked for the statement that ``context`` is about to execute."""
    wrote = context.isinsert or context.isupdate or context.isdelete
    return context.execution_options.get(
        ORIGIN, "write" if wrote else "your statement")


@event.listens_for(Session, "do_orm_execute")
def _note_origin(state):
    """Write on an ORM statement why it is sent; the option travels along."""
    if not wanted:
        return
    why = "your statement"
    path = state.loader_strategy_path
    if state.is_relationship_load:
        why = ("lazy load of " if state.lazy_loaded_from is not None
               else "eager load of ") + str(path.path[-1])
    elif state.is_column_load:
        why = f"refresh of {state.bind_mapper.class_.__name__}"
    state.update_execution_options(**{ORIGIN: why})
