"""The button of a widget that runs something real, and stops it."""

import asyncio

from ipywidgets import Button


class RunButton(Button):
    """Run, and while it runs: Stop.

    Takes an async function, and one that gets what there is to say (str).
    The function runs on the event loop of the cell that made the button: a
    callback may come on another thread, with another loop. What it raises is
    told, where it was asked for.
    """

    def __init__(self, run, tell, tooltip):
        super().__init__(description="Run", button_style="primary",
                         tooltip=tooltip)
        self._run, self._tell = run, tell
        self._loop = asyncio.get_running_loop()
        self.task = None
        self.on_click(lambda _button: self._loop.call_soon_threadsafe(
            self.press))

    def press(self):
        """Begin, or stop what has begun."""
        if not (self.task and self.task.cancel()):
            self.task = self._loop.create_task(self._run_and_tell())

    def stop_soon(self):
        """Stop what has begun by now; from any thread."""
        if self.task:  # one that begins after this goes on
            self._loop.call_soon_threadsafe(self.task.cancel)

    async def end(self):
        """Stop, and wait until it has stopped."""
        if self.task and self.task.cancel():
            await asyncio.wait([self.task])

    async def _run_and_tell(self):
        self.description = "Stop"
        self._tell("It runs …")
        try:
            await self._run()
            told = "It has run."
        except asyncio.CancelledError:
            told = "It was stopped. Run takes what is set now."
        except Exception as error:  # it is shown where it was asked for
            told = f"It failed. {type(error).__name__}: {error}"[:300]
        self.description = "Run"
        self._tell(told)
