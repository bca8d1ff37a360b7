"""How late the event loop is, and which line of yours held it up.

    with lag_meter() as lag:
        await handle_requests()
    lag             # the beats of the loop, and the lines that blocked it
    heartbeats({"before": lag, "after": another})       # on one time axis

A beat is due on the loop every ``BEAT`` seconds; the lag is how late it
comes. While one is overdue, a thread looks at what the loop's thread runs.
C code that keeps the interpreter to itself is seen when it lets go, and then
the line can be one that comes after it. If the thread has not looked for a
while, only the processor time of the loop's thread counts, where it is known
(on Linux): the process may have been stopped. So C code that keeps the
interpreter and only waits is not seen there.
"""

import sys
import threading
import time
from asyncio import BaseEventLoop, Handle, get_running_loop
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import greenlet

from ..drawing.figure import Figure
from ..drawing.lag_chart import lag_chart
from ..notebook.stacks import Line, yours

BEAT = 0.01  # seconds
BLOCKED = 0.2  # seconds that a line must hold the loop at a stretch
UNSEEN = 0.05  # seconds that a look may charge without processor time
MOST = 0.75  # of a function's time: then its slowest lines tell the story
LOOP = {Handle._run.__code__, BaseEventLoop._run_once.__code__}


class Blocker(NamedTuple):
    """A line of yours that blocked the loop, and the function it is in.

    ``line`` is its source, or "several lines". ``function`` is empty at the
    top of a cell.
    """

    line: str
    function: str

    def __str__(self):
        if not self.function:
            return self.line
        return f"{self.line}  in {self.function}"


class Lag:
    """What a lag meter has seen.

    ``beats`` is a list of (when a beat was due, how late it came), in
    seconds since the beginning; ``blockers`` are the lines (Blocker) that
    held the loop for ``BLOCKED`` seconds at a stretch, in order.
    """

    def __init__(self):
        self.beats = []
        self.blockers = []

    @property
    def longest(self):
        """The longest lag, in seconds (float)."""
        return max((late for _, late in self.beats), default=0.0)

    def figure(self):
        """The beats over time (Figure); its text names the lines only."""
        return heartbeats({"": self})

    def __repr__(self):
        # A late beat without a line of yours is a busy machine: no finding.
        return "\n  ".join(["blocked the event loop:", *map(
            str, self.blockers)]) if self.blockers \
            else "nothing blocked the event loop"

    def _repr_html_(self):
        return self.figure()._repr_html_()


def heartbeats(lags):
    """The beats of several Lags on one time axis (Figure): name → Lag."""
    rows = {name: (lag.beats, list(map(str, lag.blockers)))
            for name, lag in lags.items()}
    words = "\n".join(f"{name}: {lag}" if name else str(lag)
                      for name, lag in lags.items())
    return Figure(lag_chart(rows, BLOCKED),
                  "Heartbeat of the event loop over time; "
                  + "; ".join(words.replace("\n ", "").splitlines()), words)


@contextmanager
def lag_meter():
    """Measure the running event loop inside the block, as a Lag.

    Raises RuntimeError where no loop runs. The watching thread ends with
    the block.
    """
    meter = _Meter(get_running_loop())
    try:
        yield meter.lag
    finally:
        meter.stop()


class _Meter:
    def __init__(self, loop):
        self.loop, self.lag = loop, Lag()
        self.began = time.perf_counter()
        self.due = self.began + BEAT
        self.held = defaultdict(Counter)  # function → line → seconds
        self.root = greenlet.getcurrent()
        while self.root.parent is not None:
            self.root = self.root.parent
        self.ident = threading.get_ident()
        self.schedstat = f"/proc/self/task/{threading.get_native_id()}" \
                         "/schedstat"
        self.cpu = _cpu_clock(self.ident)
        self.began_starved, self.began_cpu = self.starved(), self.cpu()
        self.over = threading.Event()
        self.timer = loop.call_later(BEAT, self.beat)
        self.watcher = threading.Thread(target=self.watch, daemon=True,
                                        name="lag meter")
        self.watcher.start()

    def beat(self):
        """On the loop: note how late it is, and set the next beat."""
        self.note()
        self.timer = self.loop.call_later(BEAT, self.beat)

    def note(self):
        now = time.perf_counter()
        self.lag.beats.append((self.due - self.began, max(now - self.due, 0)))
        held, self.held = self.held, defaultdict(Counter)
        self.due = now + BEAT
        for (filename, function), lines in held.items():
            for blocker in _blockers(filename, function, lines):
                if blocker not in self.lag.blockers:
                    self.lag.blockers.append(blocker)

    def stop(self):
        self.timer.cancel()
        self.over.set()
        self.watcher.join()
        if time.perf_counter() > self.due:  # the block ended on a late beat
            self.note()

    def watch(self):
        """In the thread: while a beat is overdue, charge the line that runs.

        The time for which the loop's thread was ready and got no processor
        is nobody's fault. Nor is a stop of the whole process: then this
        thread has not looked either, and the loop's has used no processor.
        """
        last, over = self.began, False
        last_starved, last_cpu = self.began_starved, self.began_cpu
        while not over:
            # Reading a file lets go of the interpreter, and a call in C may
            # keep it for long: look at the clocks and the line only then.
            starved = self.starved()
            now, cpu = time.perf_counter(), self.cpu()
            due, held = self.due, self.held
            place = now > due + BEAT and _place(
                sys._current_frames().get(self.ident), self.root.gr_frame)
            if place:
                *function, number = place
                charge = min(now - max(last, due) - (starved - last_starved),
                             max(cpu - last_cpu, UNSEEN))
                # The kernel reports a wait when it is over. What was charged
                # meanwhile comes back, as far as one look can charge it.
                held[tuple(function)][number] += max(charge, -UNSEEN)
            last, last_starved, last_cpu = now, starved, cpu
            over = self.over.wait(BEAT)

    def starved(self):
        """Seconds for which the loop's thread has waited for a processor.

        From the kernel's scheduler statistics: the second field, in ns
        (docs.kernel.org/scheduler/sched-stats.html). Elsewhere 0.
        """
        try:
            with open(self.schedstat) as stat:
                return int(stat.read().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0


def _cpu_clock(ident):
    """A clock of the seconds that a thread has used of the processors.

    Elsewhere (macOS, Windows) one of all seconds.
    """
    try:
        return partial(time.clock_gettime, time.pthread_getcpuclockid(ident))
    except AttributeError:
        return time.perf_counter


def _place(*stacks):
    """(file, function, line number) of the innermost code of yours, or None.

    Takes frames. Inside SQLAlchemy's greenlet the thread's stack ends at
    greenlet_spawn; it goes on in the greenlet of the event loop.
    """
    for frame in stacks:
        # What called the event loop is not what holds it up: neither while a
        # callback runs, nor while the loop itself is at work between two.
        while frame is not None and frame.f_code not in LOOP:
            code = frame.f_code
            if yours(code.co_filename):
                return code.co_filename, _function(code), frame.f_lineno
            frame = frame.f_back
    return None


def _function(code):
    """``Shop.report``: the function that ``code`` is, or is written in."""
    names = code.co_qualname.split(".")
    while names and names[-1].startswith("<"):  # <genexpr>, <module>
        names.pop()
    return ".".join(names).rpartition("<locals>.")[2]


def _blockers(filename, function, lines):
    """The Blockers for the seconds that the lines of a function took."""
    total = lines.total()
    if total < BLOCKED:
        return
    slow = {number: seconds for number, seconds in lines.items()
            if seconds >= BLOCKED}
    if sum(slow.values()) < MOST * total:
        yield Blocker("several lines", function)
        return
    for number in slow:
        yield Blocker(str(Line(filename, number)), function)
