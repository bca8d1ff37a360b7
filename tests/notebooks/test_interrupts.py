"""The Stop button and a cell that awaits, in a real kernel."""

import time

import pytest
from conftest import ROOT
from jupyter_client.manager import start_new_kernel
from machine import begin

REPORT = "from labsupport import report; report()"
# The loop says that it has begun: the cell waits then.
WAITS = """import asyncio
asyncio.get_running_loop().call_soon(begun.touch)
await asyncio.sleep(60)"""


@pytest.fixture
def kernel(monkeypatch):
    """A fresh kernel: (manager, client)."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, source):
    """What ``source`` printed, and the reply; raises when 30 s are over."""
    printed = []
    reply = client.execute_interactive(
        source, timeout=30, output_hook=lambda message: printed.append(
            message["content"].get("text", "")))
    return "".join(printed), reply["content"]


def interrupt_while_waiting(manager, client, seconds):
    """The kernel's answer; None if there is none in ``seconds``."""
    message = begin(client, WAITS)
    began = time.monotonic()
    manager.interrupt_kernel()
    while (left := began + seconds - time.monotonic()) > 0:
        try:
            reply = client.get_shell_msg(timeout=left)
        except Exception as error:  # queue.Empty
            assert type(error).__name__ == "Empty"
            break
        if reply["parent_header"]["msg_id"] == message:
            return reply["content"]
    return None


def test_an_awaiting_cell_can_be_stopped_and_run_again(kernel):
    manager, client = kernel
    run(client, REPORT)
    for _ in range(2):
        reply = interrupt_while_waiting(manager, client, seconds=30)
        assert reply["ename"] in ("CancelledError", "KeyboardInterrupt")
    printed, reply = run(client, "await asyncio.sleep(0); print('fine')")
    assert (printed, reply["status"]) == ("fine\n", "ok")


def test_once_is_enough_and_no_task_stays(kernel):
    _, client = kernel
    run(client, REPORT)
    ticks = ("import asyncio, labsupport.notebook.interrupts as i\n"
             "loop = asyncio.get_running_loop()\n"
             "print(sum(handle._callback is i._tick and not handle._cancelled"
             " for handle in (*loop._scheduled, *loop._ready)))")
    tasks = "print(len(asyncio.all_tasks()))"
    first = run(client, ticks)[0], run(client, tasks)[0]
    run(client, "report()")
    assert (run(client, ticks)[0], run(client, tasks)[0]) == first
    assert first[0] == "1\n"


def test_without_it_the_cell_waits_on(kernel):
    """If this fails, ipykernel has learnt it: take interrupts.py away.

    Something else may happen to wake the loop, so one cell of five that
    waits on is enough.
    """
    manager, client = kernel
    assert None in (interrupt_while_waiting(manager, client, seconds=3)
                    for _ in range(5))


def test_outside_a_kernel_nothing_is_started():
    import asyncio

    from labsupport.notebook.interrupts import keep_interruptible

    async def go():
        keep_interruptible()
        return len(asyncio.get_running_loop()._scheduled)

    assert asyncio.run(go()) == 0
