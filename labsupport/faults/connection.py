"""One connection through the proxy: a pump for each of its two streams."""

import asyncio
import ctypes
import random
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

CHUNK = 16384  # bytes
AHEAD = 64  # chunks that may be under way
# Of Linux: Python has no names for them.
ATTACH_FILTER, DETACH_FILTER = 26, 27
NOTHING = struct.pack("HBBI", 6, 0, 0, 0)  # a filter: keep 0 bytes


@dataclass
class Chunk:
    """What was read at once: ``data`` (bytes, empty at the end).

    ``arrived`` is the loop's time, ``luck`` a number from -1 to 1.
    """

    data: bytes
    arrived: float
    luck: float


class Pump:
    """Carries one stream, past the toxics that act on it.

    ``toxics()`` gives those; ``changed()`` an Event that is set when there
    are others. ``begun()`` is called when something has come. ``held``
    counts the bytes that have not gone on yet.
    """

    def __init__(self, reader, writer, toxics, changed):
        self.begun = lambda: None
        self._reader, self.writer = reader, writer
        self._toxics, self._changed = toxics, changed
        self._chunks = asyncio.Queue(AHEAD)
        self._luck = random.Random(0)  # the same jitter in each run
        self._tasks = []
        self.held = 0

    def start(self, group):
        """Begin, with two tasks of a TaskGroup."""
        self._tasks = [group.create_task(self._read()),
                       group.create_task(self._write())]

    def finish(self):
        """End the stream now; what is under way is lost."""
        for task in self._tasks:
            task.cancel()
        with suppress(OSError):  # the other side was quicker
            self.writer.write_eof()

    async def _read(self):
        clock = asyncio.get_running_loop().time
        data = await self._reader.read(CHUNK)
        self.begun()
        while True:
            self.held += len(data)
            began = clock()
            await self._until(lambda: began + sum(
                toxic.busy(len(data)) for toxic in self._toxics()))
            await self._chunks.put(
                Chunk(data, clock(), self._luck.uniform(-1, 1)))
            if not data:
                break
            data = await self._reader.read(CHUNK)

    async def _write(self):
        while True:
            chunk = await self._chunks.get()
            await self._until(lambda: chunk.arrived + sum(
                toxic.delay(chunk) for toxic in self._toxics()))
            if not chunk.data:
                break
            self.held -= len(chunk.data)
            self.writer.write(chunk.data)
            await self.writer.drain()
        self.writer.write_eof()

    async def _until(self, due):
        """Wait until the loop's time is ``due()``, which toxics may move."""
        loop = asyncio.get_running_loop()
        while (then := due()) > loop.time():
            changed = self._changed()
            with suppress(TimeoutError):
                # An end without date has no timer, and waits for a change.
                async with asyncio.timeout_at(
                        then if then < float("inf") else None):
                    await changed.wait()


class Connection:
    """The pumps (stream → Pump) between a driver and the server.

    The task that makes it is the one that runs it.
    """

    def __init__(self, pumps):
        self.pumps = pumps
        self._task = asyncio.current_task()

    async def run(self):
        """Carry both streams until they have ended, or the connection has."""
        try:
            async with asyncio.TaskGroup() as group:
                for pump in self.pumps.values():
                    pump.start(group)
        except* OSError:
            self.reset()  # as one end was; the other shall know
        finally:
            self._close()

    def close(self):
        """End both streams in an orderly way."""
        self._close()
        self._task.cancel()

    def reset(self):
        """Send a RST to both ends."""
        for pump in self.pumps.values():
            reset(pump.writer)
        self._task.cancel()

    def abort(self):
        """Close now, whatever is under way."""
        for pump in self.pumps.values():
            pump.writer.transport.abort()
        self._task.cancel()

    def deafen(self):
        """Let no packet in, from either end."""
        for pump in self.pumps.values():
            deafen(pump.writer.get_extra_info("socket"))

    def hear(self):
        """Let packets in again."""
        for pump in self.pumps.values():
            with suppress(OSError):  # it is closed
                pump.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, DETACH_FILTER, 0)

    def _close(self):
        for pump in self.pumps.values():
            pump.writer.close()


def deafen(connected):
    """Have a socket drop each packet before TCP acknowledges it.

    Raises OSError where the system cannot, or does not let you.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(f"{sys.platform} has no filter of a socket")
    program = ctypes.create_string_buffer(NOTHING)
    connected.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack(
        "HP", 1, ctypes.addressof(program)))


def reset(writer):
    """Send a RST: what close() does when nothing may linger."""
    connected = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
    writer.transport.abort()
