"""A pool, tried: what a setting does, simulated at once and run for real.

    lab = await pool_lab()
    lab                     # in a cell of its own
    await lab.end()         # at the end
"""

import asyncio
import time
from html import escape

from ipywidgets import HTML, HBox, IntSlider, VBox

from ..databases import postgres
from ..drawing.figure import Figure
from ..drawing.pool_chart import pool_chart
from ..instruments.pool_gauge import ACTIVITY
from ..measuring.forecast import overheads
from ..measuring.scenario import Costs, summary
from .pictured import Pictured
from .pool_controls import USUAL, WIDE, WRAPPED, PoolControls
from .queue_picture import QueuePicture
from .run_button import RunButton

REDRAWN = 0.25  # seconds between two pictures of a run
RESERVED = 3  # connections that PostgreSQL keeps for superusers


class PoolLab(Pictured, VBox):
    """Controls, the queue that they make, and a real run drawn over it.

    The run is real: an engine with these options in a process of its own,
    whose requests sleep in a PostgreSQL database. Its schedule is that of
    the simulation. ``simulated`` and ``real`` are the Runs.
    """

    def __init__(self, database):
        self._database, self._costs, self._server = database, Costs(), ""
        self._measured, self.real = False, None
        self.controls = PoolControls(self._moved)
        self.replicas = IntSlider(2, 1, 20, description="replicas", **WIDE)
        self.workers = IntSlider(4, 1, 16, description="workers each", **WIDE)
        self.max_connections = IntSlider(
            100, 20, 500, description="max_connections", **WIDE)
        budget = self.replicas, self.workers, self.max_connections
        self.button = RunButton(self.run, self._tell,
                                "drive a real pool on this schedule")
        self.picture = QueuePicture()
        self._words, self._table = HTML(), HTML()
        for control in budget:
            control.observe(lambda _change: self._tell(), "value")
        super().__init__([
            self.controls, HBox(budget, layout=WRAPPED), self.button,
            self._words, self.picture, self._table])
        self._expect()
        self._draw()

    @property
    def scenario(self):
        """The Scenario that is set."""
        return self.controls.scenario

    def line(self):
        """The engine as you write it (str)."""
        usual = USUAL.pool().options
        options = [f"{name}={value}" for name, value
                   in self.scenario.pool().options.items()
                   if value != usual[name]]
        return f"create_async_engine({', '.join(['url', *options])})"

    @property
    def runs(self):
        """Name → Run (dict): simulated and, if there is one, real."""
        return {"simulated": self.simulated} | (
            {"real": self.real} if self.real else {})

    def numbers(self):
        """What is counted → name of the run → text (dict of dicts)."""
        found = {name: summary(run, self.scenario.seconds)
                 for name, run in self.runs.items()}
        return {what: {name: one[what] for name, one in found.items()}
                for what in found["simulated"]}

    def figure(self):
        """The picture at the present setting: a Figure."""
        lines = [self.line(), " " * 22 + "".join(f"{name:>11}"
                                                 for name in self.runs)]
        lines += [f"{what:<22}" + "".join(f"{one:>11}"
                                          for one in values.values())
                  for what, values in self.numbers().items()]
        scenario = self.scenario
        return Figure(
            pool_chart({name: run.history()
                        for name, run in self.runs.items()},
                       scenario.seconds, scenario.most),
            f"A pool for {scenario.seconds:g} s, {' and '.join(self.runs)}",
            "\n".join(lines))

    async def run(self):
        """Drive the real pool; ``real`` is its RealRun from then on.

        What a request and a connect cost is measured first, once. Raises
        LoadError.
        """
        self.real, self._server = None, ""
        scenario = self.scenario
        if not self._measured:
            self._tell("It measures what a request and a connect cost here …")
            self._costs = Costs(*await overheads(
                self._database.asyncpg, scenario.rate, scenario.hold))
            self._measured = True
            self._expect()
        self._draw("It runs …")
        watch = asyncio.create_task(self._watch())
        drawn = 0.0

        def grow(run):
            nonlocal drawn
            self.real = run
            if time.monotonic() > drawn + REDRAWN:
                self._draw("It runs …", live=True)
                drawn = time.monotonic()

        try:
            await scenario.real(self._database.asyncpg, hear=grow)
        except BaseException:
            self.real = None
            raise
        finally:
            watch.cancel()
            self._server = ""
            self._draw()

    async def end(self):
        """End a run and drop the database."""
        await self.button.end()
        await self._database.drop(force=True)

    async def _watch(self):
        """What the server itself sees, for as long as the run goes on."""
        try:
            async with self._database.connected(
                    self._database.psycopg) as ask:
                while True:
                    rows = await ask(str(ACTIVITY))
                    self._server = ", ".join(
                        f"{number} {state}" for state, number in rows)
                    await asyncio.sleep(REDRAWN)
        except Exception as error:  # the server has gone: the run tells more
            self._server = f"cannot be asked ({type(error).__name__})"

    def _moved(self):
        self.real = None
        self.button.stop_soon()
        self._expect()
        self._draw()

    def _expect(self):
        self.simulated = self.scenario.simulated(self._costs)

    def _draw(self, note="", live=False):
        self.picture.live = live
        self.picture.show(self.figure()._repr_html_(), self.simulated,
                          self.real, self.scenario)
        self._table.value = _table(self.numbers())
        self._tell(note)

    def _tell(self, note=""):
        self._words.value = "".join((
            f'<div role="status">{escape(note)}</div>',
            f"<div>to copy: <code>{escape(self.line())}</code></div>",
            *(f"<div>{escape(words)}</div>" for words in (
                self._budget(), *self._remarks()))))

    def _remarks(self):
        """What has to be said of a run (list of str)."""
        said = [f"the server sees: {self._server}"] if self._server else []
        if not self.real or self.real.cpu is None:  # it goes on
            return said
        said += [f"× {failure}" for failure in self.real.failures]
        if self.real.cpu_is_the_limit(self.scenario.hold):
            said.append(
                "The CPU was the limit, not the pool alone: the process used "
                f"{self.real.cpu:.0%} of its core, and every 20th request "
                f"began {self.real.late.p95 * 1000:.0f} ms late or more.")
        return said

    def _budget(self):
        each = self.scenario.most
        all_of_them = self.replicas.value * self.workers.value * each
        room = self.max_connections.value - RESERVED
        return (f"{self.replicas.value} replicas × {self.workers.value} "
                f"workers × {each} connections = {all_of_them}, and the "
                f"server has {room} for you: "
                + ("✓ they fit" if all_of_them <= room else "× too many"))


def _table(numbers):
    """HTML (str): a column for what is counted, a row for each run."""
    head = "".join(f'<th style="padding:0 8px">{what}</th>'
                   for what in numbers)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>' + "".join(
            f'<td style="text-align:center">{one[name]}</td>'
            for one in numbers.values()) + "</tr>"
        for name in next(iter(numbers.values())))
    return f"<table><thead><tr><td></td>{head}</tr></thead>{rows}</table>"


async def pool_lab():
    """A PoolLab on a PostgreSQL database of its own.

    Raises ServerError. Await its ``end()`` at the end.
    """
    return PoolLab(await postgres())
