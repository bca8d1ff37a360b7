"""The queue before a pool, moving: who comes, waits, is served, gives up."""

from array import array
from math import nan
from pathlib import Path

from anywidget import AnyWidget
from traitlets import Bool, Dict, Float, Int, Unicode

from ..drawing import pool_chart
from ..drawing.looks import BAD, BLUE, GREEN, SQUARES, VERMILION
from ..measuring.pool_run import FAILED, SERVED, TIMED_OUT

CODES = {None: 0, SERVED: 1, TIMED_OUT: 2, FAILED: 3}


class QueuePicture(AnyWidget):
    """Two runs of a pool, played beside each other at any speed.

    ``show`` gives it the runs; the page keeps the time, so that it plays
    without the kernel. With ``live`` it follows the end of the real one.
    """

    _esm = Path(__file__).with_name("queue_picture.js")
    _css = Path(__file__).with_name("queue_picture.css")

    simulated = Dict().tag(sync=True)
    real = Dict().tag(sync=True)
    live = Bool().tag(sync=True)
    seconds = Float(1).tag(sync=True)
    size = Int(5).tag(sync=True)
    most = Int(5).tag(sync=True)
    chart = Unicode().tag(sync=True)  # HTML, which the page draws time over
    place = Dict({"left": pool_chart.LEFT, "wide": pool_chart.WIDE}
                 ).tag(sync=True)
    looks = Dict({
        "served": SQUARES["checked out"], "preparing": SQUARES["connecting"],
        "waiting": SQUARES["waiting"], "idle": SQUARES["idle"],
        "done": (GREEN, "✓"), "timed out": (VERMILION, BAD["timeout"]),
        "failed": (VERMILION, BAD["failed"]), "now": (BLUE, "")}
    ).tag(sync=True)

    def show(self, chart, simulated, real, scenario):
        """Take the chart (HTML) and the Runs of a Scenario, real or None."""
        with self.hold_sync():
            self.chart, self.seconds = chart, scenario.seconds
            self.size, self.most = scenario.pool_size, scenario.most
            self.simulated = columns(simulated)
            self.real = columns(real) if real else {}


def columns(run):
    """The columns of a Run as bytes: float64, nan for None; and codes."""
    def numbers(values):
        return array("d", [nan if one is None else one for one in values]
                     ).tobytes()

    return {"came": numbers(run.came), "chosen": numbers(run.chosen),
            "got": numbers(run.got), "left": numbers(run.left),
            "outcomes": bytes(CODES[one] for one in run.outcomes),
            "opened": numbers(at for at, _ in run.opened),
            "closed": numbers(at for at, _ in run.closed)}
