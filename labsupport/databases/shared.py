"""A server that others use too: its URL, and what we leave on it: nothing."""

import asyncio
import os
import sys
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..servers import ServerError
from ..servers.keeper import Kept


async def keep(name, **options):
    """A Kept without a server; ServerError says what is wrong."""
    try:
        return await asyncio.to_thread(Kept, name, **options)
    except RuntimeError as error:
        raise ServerError(
            f"No temporary directory can be made ({error}): free some space, "
            "or set TMPDIR to a directory on another disk."
        ) from None


async def janitor(kind, name):
    """A Kept that drops database ``name`` when it stops, or this kernel ends.

    ``kind`` is the name of the function that made it, such as ``"mysql"``.
    """
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return await keep(
        "lab-janitor-",
        env={**os.environ,
             "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        at_end=[sys.executable, "-m", "labsupport.databases.janitor", kind,
                name])


def shared_url(variable, example, backends, options=()):
    """The URL in an environment variable, or None if that is not set.

    Raises ServerError unless it has a user, a host, one of the ``backends``
    and no other query than ``options``.
    """
    written = os.environ.get(variable)
    if not written:
        return None
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        url = None
    if url is None or not (url.host and url.username) \
            or url.get_backend_name() not in backends \
            or set(url.query) - set(options):
        allowed = "".join(f"; ?{name}=… is the only option"
                          for name in options)
        raise ServerError(
            f"{variable} cannot be read: write it as {example}, with special "
            f"characters percent-encoded{allowed}."
        )
    return url


def refusal(problem, variable):
    """The ServerError for a ``problem`` with a server, in one sentence."""
    source = f" Or unset {variable}." if os.environ.get(variable) else ""
    return ServerError(f"{problem[0].upper()}{problem[1:]}.{source}")
