"""Follow one await through greenlet, task, driver and event loop.

    trace = await trace_switches(session.execute(statement))
    trace           # the hand-overs, as a picture and as text
    trace.result    # what the await returned, or what it raised

What you await is driven by hand, one ``send`` at a time, inside your task;
``greenlet.settrace`` is on only during such a ``send``. Of other tasks only
the one that you give as ``beside`` is recorded.
"""

import asyncio
import gc
import sys
import traceback

import greenlet
from sqlalchemy.exc import MissingGreenlet

from ..drawing.sequence import Step, sequence
from ..notebook.stacks import yours

GREENLET, TASK, LOOP = "greenlet", "task", "event loop"


class SwitchTrace:
    """The path of one await: ``steps`` (list of Step) and how it ended.

    ``error`` is the Exception that it raised, or None.
    """

    def __init__(self, name, beside=None):
        self.beside = beside  # the name of the other task, or None
        self.steps = [Step(TASK, TASK, f"await {name}")]
        self.error = self._result = None
        self.unread = 0  # hand-overs that could not be described

    @property
    def result(self):
        """What the await returned; raises ``error`` if it raised."""
        if self.error is not None:
            raise self.error
        return self._result

    @property
    def waits(self):
        """How often the task let the event loop go on (int)."""
        return sum(step.target == LOOP for step in self.steps)

    def figure(self):
        """The sequence diagram (Figure)."""
        named = [lane for step in self.steps for lane in step[:2]]
        others = [self.beside] * (self.beside is not None)
        drivers = dict.fromkeys(lane for lane in named if lane not in (
            GREENLET, TASK, LOOP, *others))
        return sequence(
            [GREENLET, TASK, *(drivers or ["driver"]), LOOP, *others],
            self.steps, f"The path of {self.steps[0].label}")

    def __repr__(self):
        lost = f"\nhand-overs that could not be read: {self.unread}"
        return self.figure().text + lost * bool(self.unread)

    def _repr_html_(self):
        return self.figure()._repr_html_()


async def trace_switches(awaitable, beside=None):
    """Await ``awaitable`` and return the SwitchTrace of it.

    ``beside`` is a coroutine, run meanwhile as a task and then cancelled: the
    trace shows where it has a turn.

    An Exception ends up in ``error``, so that you have the picture of it;
    a cancellation goes on as it would without the trace. Raises TypeError
    for what is no coroutine or the like: a task runs on its own.
    """
    if asyncio.isfuture(awaitable) or not hasattr(awaitable, "__await__"):
        raise TypeError("trace_switches takes something to await that has not "
                        "begun, such as session.execute(statement); this is "
                        f"{type(awaitable).__name__}.")
    driven = awaitable if asyncio.iscoroutine(awaitable) \
        else awaitable.__await__()
    trace = SwitchTrace(_name(awaitable), beside and _name(beside))
    if beside is None:
        return await _Drive(driven, trace)
    other = asyncio.ensure_future(_Beside(beside, trace))
    try:
        return await _Drive(driven, trace)
    finally:
        other.cancel()
        await asyncio.wait([other])
        beside.close()  # where it never had a turn
        if not other.cancelled():
            other.result()  # it has ended, or failed: say so


class _Beside:
    """An awaitable that awaits ``coroutine`` and notes when it has a turn."""

    def __init__(self, coroutine, trace):
        self.driven, self.trace = coroutine.__await__(), trace

    def __await__(self):
        steps, resume, value = self.trace.steps, self.driven.send, None
        while True:
            if steps[-1].target == LOOP:  # else it has one more turn
                steps.append(Step(LOOP, self.trace.beside, "runs meanwhile"))
            try:
                future = resume(value)
            except StopIteration:
                return
            try:
                value, resume = (yield future), self.driven.send
            except BaseException as error:
                value, resume = error, self.driven.throw


class _Drive:
    """An awaitable that awaits ``driven`` and writes down what happens."""

    def __init__(self, driven, trace):
        self.driven, self.trace = driven, trace
        self.call = None  # the driver's coroutine that waits or has waited,
        self.lane = TASK  # and the lane that the task runs in: a driver's?
        self.entered = set()  # greenlets

    def __await__(self):
        resume, value = self.driven.send, None
        try:
            while True:
                future = self._run(resume, value)
                self._safely(self._note_wait, future)
                try:
                    value, resume = (yield future), self.driven.send
                except BaseException as error:
                    value, resume = error, self.driven.throw
                    self._add(LOOP, self.lane, type(error).__name__,
                              "error")
                else:
                    self._add(LOOP, self.lane, "resume")
        except StopIteration as stop:
            self.trace._result = stop.value
            self._safely(self._leave_driver)
            self._add(TASK, TASK, "return")
        except Exception as error:
            self.trace.error = error
            self._safely(self._note_error, error)
        finally:
            self.call = None
            self.entered.clear()
        return self.trace

    def _run(self, resume, value):
        """One step of the awaited; returns the future that it waits for."""
        before = greenlet.settrace(None)

        def switched(kind, pair):
            self._safely(self._note_switch, kind, *pair)
            if before is not None:
                before(kind, pair)

        greenlet.settrace(switched)
        try:
            return resume(value)
        finally:
            greenlet.settrace(before)

    def _safely(self, note, *arguments):
        """An instrument must never raise into what it looks at."""
        try:
            note(*arguments)
        except Exception:
            self.trace.unread += 1

    def _add(self, *step):
        self.trace.steps.append(Step(*step))

    def _note_switch(self, kind, origin, target):
        failed = kind == "throw"
        if target in self.entered:
            self._leave_driver(failed)
            self._add(TASK, GREENLET, "exception" if failed else "result",
                      "error" * failed)
        elif target.parent is origin:
            self.entered.add(target)
            self._add(TASK, GREENLET, "greenlet_spawn")
        elif origin.dead:
            self._add(GREENLET, TASK, "raise" if failed else "return",
                      "error" * failed)
        else:
            self._add(GREENLET, TASK, _asked([
                frame for frame, _ in traceback.walk_stack(origin.gr_frame)]))

    def _note_wait(self, future):
        """The task is about to let the event loop go on."""
        chain = list(_chain(self.driven))
        call = _driver_call(chain)
        if call is None:
            self._leave_driver()
            inner = next((link for link in reversed(chain)
                          if hasattr(link, "__qualname__")), None)
            self._add(TASK, LOOP, f"wait in {_name(inner)}")
            return
        if call is not self.call:
            self._leave_driver()
            self.call, self.lane = call, _package(call)
            self._add(TASK, self.lane, _name(call))
        elif self.trace.steps[-1].label == "resume":
            # The same call of the driver waits on: how often its answer
            # arrives in pieces is chance.
            self.trace.steps.pop()
            return
        self._add(self.lane, LOOP, "wait for its thread"
                  if _has_thread(chain) else "wait for I/O")

    def _leave_driver(self, failed=False):
        if self.call is not None:
            self._add(self.lane, TASK, "raise" if failed else "return",
                      "error" * failed)
            self.call, self.lane = None, TASK

    def _note_error(self, error):
        self._leave_driver(failed=True)
        first = error
        while (inner := getattr(first, "orig", None) or first.__cause__):
            first = inner
        if isinstance(first, MissingGreenlet):
            frames = [frame for frame, _ in
                      traceback.walk_tb(first.__traceback__)]
            self._add(GREENLET, TASK, _asked(frames[::-1]), "missing")
        self._add(TASK, TASK, f"raise {type(error).__name__}", "error")


def _asked(frames):
    """``await_ in Cursor.execute``, from frames, innermost first."""
    own = frames[0].f_code
    asker = next(frame.f_code for frame in frames
                 if frame.f_code.co_filename != own.co_filename)
    return f"{own.co_name} in {_plain(asker.co_qualname)}"


def _chain(awaitable):
    """``awaitable``, what it waits for, and so on down to the future."""
    while awaitable is not None:
        if type(awaitable).__name__ == "coroutine_wrapper":  # has no names
            awaitable = next(iter(gc.get_referents(awaitable)), None)
        yield awaitable
        awaitable = next((getattr(awaitable, name) for name in (
            "cr_await", "gi_yieldfrom", "ag_await")
            if hasattr(awaitable, name)), None)


def _driver_call(chain):
    """The coroutine in ``chain`` that SQLAlchemy, or you, called a driver by.

    None if what waits in the end is no driver.
    """
    call = None
    for link in chain:
        package = _package(link)
        if package in ("sqlalchemy", "labsupport", "you"):
            call = None
        elif package and (call is None or _package(call) != package):
            call = link
    return call


def _frame(link):
    return next((getattr(link, name) for name in (
        "cr_frame", "gi_frame", "ag_frame") if hasattr(link, name)), None)


def _package(link):
    """Top package of the code of ``link``; "" for the standard library."""
    frame = _frame(link)
    if frame is None:
        return ""
    if yours(frame.f_code.co_filename):
        return "you"
    name = frame.f_globals.get("__name__", "").partition(".")[0]
    return "" if name in sys.stdlib_module_names else name


def _has_thread(chain):
    """Whether the driver's object that waits works in a thread of its own."""
    import threading

    owners = (_frame(link).f_locals.get("self") for link in chain
              if _frame(link) is not None)
    return any(isinstance(value, threading.Thread) for owner in owners
               for value in getattr(owner, "__dict__", {}).values())


def _name(link):
    return _plain(getattr(link, "__qualname__", type(link).__name__))


def _plain(name):
    return name.rpartition("<locals>.")[2]
