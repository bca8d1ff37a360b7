"""A TCP proxy on loopback, between your engine and its database.

    async with proxy(database) as link:
        engine = create_async_engine(link.asyncpg)
        with link.latency(50):
            ...

It has a thread and an event loop of its own: a loop that you block does not
disturb it.
"""

import asyncio
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from ..databases.shared import ServerDatabase
from ..servers import ServerError
from .connection import Connection, Pump, deafen, reset
from .toxics import (
    Bandwidth,
    Cut,
    Down,
    HalfClose,
    Latency,
    ResetPeer,
    SlowClose,
    Timeout,
)

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def proxy(database):
    """Async context manager: a Link to a database that has a server.

    At its end all connections through it are closed: dispose of the engine
    inside. Raises ServerError for SQLite, which has no network.
    """
    if not isinstance(database, ServerDatabase):
        raise ServerError(
            "Only a database with a server has a network that can fail: take "
            "the one that postgres() or mysql() gave you.")
    link = Link(database)
    try:
        yield link
    finally:
        link.close()


class Link:
    """The way to a database, with that database's URLs; see ``proxy()``.

    Each fault is a context manager, for the connections that are open and
    for later ones, and is undone at the end of its block. ``accepted``
    counts the connections so far.
    """

    def __init__(self, database):
        urls = {driver: getattr(database, driver)
                for driver in database.DRIVERS}
        url = next(iter(urls.values()))
        self._server = url.host, url.port or database.PORT
        self._toxics, self._connections, self._tasks = [], set(), set()
        self._socket = _bound(0)
        self._port = self._socket.getsockname()[1]
        self._listening = None
        self.accepted = 0
        started = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)),
            name="proxy", daemon=True)
        self._thread.start()
        started.result()
        for driver, url in urls.items():
            setattr(self, driver, url.set(host=LOOPBACK, port=self._port))

    def __repr__(self):
        return f"link: {len(self._toxics)} toxics, " \
               f"{self.connections} connections"

    @property
    def connections(self):
        """How many connections (int) are open through this link."""
        return len(self._connections)

    @property
    def held(self):
        """How many bytes (int) are under way, in both directions."""
        return sum(pump.held for connection in tuple(self._connections)
                   for pump in connection.pumps.values())

    def latency(self, ms, jitter=0, stream="downstream"):
        """Each answer comes ``ms`` later, plus or minus up to ``jitter``.

        The handshake of TCP is not delayed, what follows it is.
        """
        return self._acting(Latency(stream, ms, jitter))

    def bandwidth(self, rate, stream="downstream"):
        """At most ``rate`` kilobytes a second."""
        return self._acting(Bandwidth(stream, rate))

    def slow_close(self, ms, stream="upstream"):
        """The server hears ``ms`` later that a driver is gone.

        A driver that closes in good order says so (Terminate), and that is
        not delayed: this is for one that was killed, or cut off.
        """
        return self._acting(SlowClose(stream, ms))

    def timeout(self, ms=0, stream="downstream"):
        """A black hole: nothing comes, and nobody says so.

        After ``ms`` the connection is closed (0: never). What was sent
        before that comes when the block ends, as TCP would send it again.
        """
        return self._acting(Timeout(stream, ms))

    def cut(self):
        """The cable is pulled: no packet is acknowledged, in no direction.

        With ``timeout`` the proxy's system goes on answering for TCP, also
        the keepalives. Raises ServerError where yours has no such filter
        (Linux has), or does not let you use it (newer kernels ask for
        CAP_NET_ADMIN, which root has).
        """
        with socket.socket() as tried:
            try:
                deafen(tried)
            except OSError as error:
                raise ServerError(
                    f"This system pulls no cable ({error}): take timeout(), "
                    "which is as silent, but for TCP itself.") from None
        return self._acting(Cut())

    def reset_peer(self, ms=0):
        """After ``ms`` every connection is reset.

        A later one as soon as the driver has sent something.
        """
        return self._acting(ResetPeer(ms=ms))

    def half_close(self, stream="downstream"):
        """The stream ends, the other one goes on."""
        return self._acting(HalfClose(stream))

    def down(self):
        """Connections are closed, new ones refused: the server has ended."""
        return self._acting(Down())

    def close(self):
        """Close all connections and end the thread; again does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    @contextmanager
    def _acting(self, toxic):
        try:
            self._call(self._add, toxic)
            yield
        finally:
            if self._thread.is_alive():
                self._call(self._remove, toxic)

    # What follows runs in the proxy's own thread.

    def _call(self, function, *values):
        """Have the thread run a coroutine function, and wait for that."""
        # Interrupted while it waits, the thread does it all the same.
        asyncio.run_coroutine_threadsafe(
            function(*values), self._loop).result()

    async def _run(self, started):
        self._loop = asyncio.get_running_loop()
        self._changed, self._closing = asyncio.Event(), asyncio.Event()
        await self._listen()
        started.set_result(None)
        await self._closing.wait()
        if self._listening:
            self._listening.close()
        self._socket.close()
        for connection in tuple(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self):
        """Listen, unless the link is down."""
        down = any(isinstance(toxic, Down) for toxic in self._toxics)
        if self._listening and down:
            self._listening.close()
            self._listening = None
            # Who has the port and does not listen refuses, and keeps it.
            self._socket = _bound(self._port)
        elif not self._listening and not down:
            self._listening = await asyncio.start_server(
                self._accept, sock=self._socket)

    async def _add(self, toxic):
        self._toxics.append(toxic)
        await self._listen()
        self._change()
        for connection in tuple(self._connections):
            self._meet(toxic, connection)

    async def _remove(self, toxic):
        if toxic in self._toxics:
            self._toxics.remove(toxic)
            await self._listen()
            self._change()
            for connection in tuple(self._connections):
                toxic.leave(connection)

    def _change(self):
        self._changed.set()
        self._changed = asyncio.Event()

    def _meet(self, toxic, connection):
        def later(ms, action):
            if ms:
                self._loop.call_later(
                    ms / 1000, lambda: toxic in self._toxics and action())
            else:
                action()

        toxic.meet(connection, later)

    def _accept(self, reader, writer):
        self.accepted += 1
        task = self._loop.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(
                *self._server)
        except (OSError, asyncio.CancelledError):
            reset(writer)  # the server is down, or the link closes
            return
        connection = Connection({
            "upstream": self._pump("upstream", reader, server_writer),
            "downstream": self._pump("downstream", server_reader, writer)})
        self._connections.add(connection)
        # Not at once: connect() itself would fail now and then.
        connection.pumps["upstream"].begun = lambda: [
            self._meet(toxic, connection) for toxic in self._toxics]
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _pump(self, stream, reader, writer):
        return Pump(reader, writer,
                    lambda: [toxic for toxic in self._toxics
                             if toxic.stream == stream],
                    lambda: self._changed)


def _bound(port):
    """A socket that has a port of loopback; 0 for any that is free."""
    bound = socket.socket()
    if os.name == "posix":  # elsewhere others could then take the port, too
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((LOOPBACK, port))
    return bound
