"""The private names of SQLAlchemy that this package cannot do without.

Each stands here, and only here, with the reason why no public name will do.
``tests/trace/test_sqlalchemy_private.py`` breaks, on both lines of
SQLAlchemy, when one is gone or means something else.
"""

from pathlib import Path


def most_overflow(pool):
    """How many connections a pool may open beyond its size; -1: any number.

    ``Pool.overflow()`` says how many there are, and ``status()`` too.
    """
    return pool._max_overflow


def entries_in(pool):
    """The ConnectionPoolEntry objects that wait in a queue's pool (list).

    ``Pool.checkedin()`` counts them all. One whose connection was
    invalidated or detached is empty, and only the entry itself says so.
    """
    queue = pool._pool
    if hasattr(queue, "queue"):  # of threads
        return list(queue.queue)
    return list(queue._queue._queue)  # around asyncio's, which hides it, too


def creator_of(pool):
    """The function that makes a pool's connections.

    An engine has put into it what ``connect_args``, ``do_connect`` and
    ``async_creator`` said; of its URL alone, another server may answer.
    """
    return pool._creator


def is_server_side(context):
    """Whether a statement leaves its rows on the server, to be fetched.

    The option ``stream_results`` is a wish, which a dialect may refuse.
    """
    return context._is_server_side


def watch_cursor(context, cursor):
    """Put ``cursor`` in the place of the one that a statement has run on.

    The context is public, and so is its ``cursor``; that the result takes
    its rows from there, after ``Dialect.do_execute``, is written nowhere.
    A fetch has no event.
    """
    context.cursor = cursor


def loaded_along(path):
    """What the loader at the end of a PathRegistry loads: ``Artist.albums``.

    ``ORMExecuteState.loader_strategy_path`` is public, what is in it is not.
    """
    return str(path.path[-1])


def loads_subclasses(state):
    """Whether an ORMExecuteState is of the second SELECT for a hierarchy.

    That of ``selectin_polymorphic`` is no relationship's and no refresh. It
    has a path, which a statement of yours has not, and one parameter.
    """
    return state.loader_strategy_path is not None \
        and [*(state.parameters or ())] == ["primary_keys"]


def ends_session_begin(task):
    """Whether a task is the one in which SQLAlchemy leaves ``begin()``.

    ``async with Session.begin()`` flushes, commits and closes in a task of
    its own. Nothing but the name of its coroutine tells it from yours.
    """
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    return code is not None and "__aexit__" in coroutine.__qualname__ \
        and "sqlalchemy" in Path(code.co_filename).parts
