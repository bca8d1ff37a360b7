"""A live gauge: what the pool believes, and what the server sees."""

import asyncio
from html import escape

from ipywidgets import HTML
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ..drawing.figure import widget_bundle
from ..drawing.looks import BLUE, GREY, SQUARES
from ..trace.hooks import UNTOLD, hooks_of
from ..trace.pool_usage import limits
from ..trace.sqlalchemy_private import creator_of

POOL_SECONDS, SERVER_SECONDS = 0.1, 0.5  # between two readings
OWN = "lab gauge"  # application_name of the connections that ask
CALL_ME = text(f"SET application_name = '{OWN}'")
ACTIVITY = text(
    "SELECT state, count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state IS NOT NULL "
    "AND pid <> pg_backend_pid() "
    f"AND application_name <> '{OWN}' GROUP BY state ORDER BY state")


class PoolGauge(HTML):
    """A picture of a pool that moves while other cells run.

    On PostgreSQL a connection of its own asks the server as well. It moves
    as long as the event loop does; ``await gauge.stop()`` ends it.
    """

    def __init__(self, engine):
        super().__init__()
        self._engine = engine
        self._hooks = hooks_of(engine)
        self._requests, self._former = {}, set()
        self.asked = 0  # how often the server has answered
        self._seen = {}
        self._own, self._turn = None, asyncio.Lock()
        self._stopped = False
        self._hooks.count(self._count, engine.pool)
        self._draw()
        self._tasks = [asyncio.create_task(self._follow_pool()),
                       asyncio.create_task(self._follow_server())]

    def _count(self, kind, task):
        if kind == "dispose":  # who asks now, asks the old pool
            self._former |= {*self._requests}
            self._requests.clear()
        elif task in self._former:
            if kind != "connecting":
                self._former.discard(task)
        elif kind in ("request", "connecting"):
            self._requests[task] = kind
        else:
            self._requests.pop(task, None)

    def pool(self):
        """State → number (dict): what the pool believes at this moment."""
        now, phases = limits(self._engine.pool), [*self._requests.values()]
        connecting = phases.count("connecting")
        return {"checked out": max(now.out - connecting, 0),
                "connecting": connecting, "idle": now.idle,
                "waiting": phases.count("request")}

    async def server(self):
        """State → number (dict): what the server sees at this moment.

        Other than PostgreSQL cannot be asked: the dict is empty. Raises what
        the driver raises when the server cannot be reached.
        """
        if self._engine.dialect.name != "postgresql":
            return {}
        async with self._turn:
            try:
                if self._own is None:
                    self._own = await self._connect()
                states = dict((await self._own.execute(ACTIVITY)).all())
                self.asked += 1
                return states
            except BaseException:
                await self._hang_up()
                raise
            finally:
                if self._stopped:
                    await self._hang_up()

    async def stop(self):
        """Stand still after a last look, and close the gauge's connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stopped = True
        await self._look()
        self._hooks.remove(self._count)

    async def _follow_pool(self):
        while True:
            self._draw()
            await asyncio.sleep(POOL_SECONDS)

    async def _follow_server(self):
        try:
            while True:
                await self._look()
                await asyncio.sleep(SERVER_SECONDS)
        finally:
            await self._hang_up()

    async def _look(self):
        """Ask the server, and draw what both sides say at that moment."""
        try:
            self._seen = await self.server()
        except Exception:  # a driver's own, too: it cannot be asked now
            self._seen = {}
        self._draw()

    async def _connect(self):
        """A connection of ours, made as the engine makes its own."""
        engine = create_async_engine(
            URL.create(self._engine.url.drivername), poolclass=NullPool,
            creator=creator_of(self._engine.pool),
            isolation_level="AUTOCOMMIT")
        told = UNTOLD.set(True)
        try:
            connection = await engine.connect()
        finally:
            UNTOLD.reset(told)
        try:
            await connection.execute(CALL_ME)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _hang_up(self):
        own, self._own = self._own, None
        if own is not None:
            await own.close()

    def _draw(self):
        believes, now = self.pool(), limits(self._engine.pool)
        live = sum(believes.values()) - believes["waiting"]
        overflow = max(live - (now.size or live), 0)
        words = f"{_words(believes)} · {live} live, overflow {overflow}"
        if self._stopped:
            words += " · stopped"
        rows = [_row("the pool", believes, words)]
        if self._seen:
            rows.append(_row("the server", self._seen, _words(self._seen)))
        drawn = "".join(rows)
        if drawn != self.value:
            self.value = drawn

    def __repr__(self):
        now = limits(self._engine.pool)
        if now.size is None:
            return f"gauge of a {type(self._engine.pool).__name__}"
        most = ("no limit" if now.most is None
                else f"at most {now.most} connections in all")
        return f"gauge of a pool of {now.size}, {most}"

    def _repr_mimebundle_(self, **_):
        return widget_bundle(self, repr(self))


def pool_gauge(engine):
    """The live PoolGauge of an AsyncEngine, ready to show."""
    return PoolGauge(engine)


def _words(states):
    return ", ".join(f"{number} {state}" for state, number in states.items())


def _row(who, states, words):
    squares = "".join(
        _square(*SQUARES.get(state, (GREY, "?")), state == "waiting") * number
        for state, number in states.items())
    label = escape(f"{who}: {words}")
    return (f'<div role="img" aria-label="{label}" '
            'style="font:13px system-ui,sans-serif;line-height:22px">'
            f'<b style="display:inline-block;width:6em">{who}</b>'
            f'{squares} <div style="margin-left:6em">{escape(words)}</div>'
            "</div>")


def _square(colour, letter, round_):
    radius = "9px" if round_ else "3px"
    ink = "#fff" if colour == BLUE else "#000"
    return (f'<span style="display:inline-block;width:18px;height:18px;'
            f"margin:1px;border-radius:{radius};background:{colour};"
            f"color:{ink};font:11px/18px system-ui,sans-serif;"
            f'text-align:center">{letter}</span>')
