"""A slider that is moved while a cell awaits, in a real kernel.

ipywidgets sends what comes next when the kernel has said "idle".
"""

from types import SimpleNamespace

import pytest
from machine import begin
from test_interrupts import REPORT, kernel, run  # noqa: F401

from labsupport.notebook import comms

SLIDER = """import asyncio, ipywidgets
slider = ipywidgets.IntSlider()
print(slider.comm.comm_id)"""
WAITS = """asyncio.get_running_loop().call_soon(begun.touch)
async with asyncio.timeout(30):
    while slider.value != 7:
        await asyncio.sleep(0.02)"""


def said_to(client, number):
    """The states (list of str) that answer a slider at ``number`` while a
    cell awaits it, up to the end of the cell."""
    comm = run(client, SLIDER)[0].strip()
    cell = begin(client, WAITS)
    moved = client.session.send(
        client.shell_channel.socket, "comm_msg",
        {"comm_id": comm, "data": {"method": "update", "buffer_paths": [],
                                   "state": {"value": number}}})
    states = []
    while True:
        message = client.get_iopub_msg(timeout=60)
        parent = message["parent_header"].get("msg_id")
        state = message["content"].get("execution_state")
        if parent == moved["header"]["msg_id"] and state:
            states.append(state)
        if (parent, state) == (cell, "idle"):
            return states


@pytest.mark.parametrize("times", [1, 2])
def test_a_slider_is_answered_once(kernel, times):
    _, client = kernel
    for _ in range(times):
        run(client, REPORT)
    assert said_to(client, 7) == ["idle"]


def test_without_it_nobody_answers(kernel):
    """If this fails, ipykernel has learnt it: take comms.py away."""
    _, client = kernel
    assert said_to(client, 7) == []


def test_a_kernel_that_takes_it_after_the_cell_is_left_alone(monkeypatch):
    class Older:
        async def dispatch_shell(self, msg, /, subshell_id=None):
            raise NotImplementedError

    shell = SimpleNamespace(kernel=Older())
    monkeypatch.setattr(comms, "get_ipython", lambda: shell)
    comms.answer_comms()
    assert vars(shell.kernel) == {}
