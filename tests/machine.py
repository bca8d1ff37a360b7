"""Kernels, users and programs of this machine, for the tests of servers."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, processes
from jupyter_client.manager import start_new_kernel


def may_unshare(*words):
    """Go on if ``unshare`` with these words works in this container."""
    probe = subprocess.run(["unshare", *words], capture_output=True)
    if probe.returncode:
        pytest.skip(f"not allowed in this container: unshare {words[0]}")


def program(path, *lines):
    """Write an executable shell script."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def wait(condition, what, seconds=60):
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ask(client, code):
    """Run a cell; what it prints (str) and the name of its error or None."""
    text = []

    def hook(message):
        if message["msg_type"] == "stream":
            text.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hook, timeout=90)
    return "".join(text), reply["content"].get("ename")


@contextmanager
def kernel(tmp_path, start, name="kernel"):
    """A kernel with servers: (manager, client, paths, mark in its env).

    ``start`` is its first cell; it prints the paths as a list in JSON.
    """
    mark = f"{tmp_path}/{name}"
    manager, client = start_new_kernel(
        cwd=str(ROOT / "notebooks"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "LAB_TEST_MARK": mark})
    try:
        printed, error = ask(client, start)
        assert error is None, printed
        yield (manager, client, [Path(path) for path in json.loads(printed)],
               f"LAB_TEST_MARK={mark}".encode())
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def begin(client, code):
    """Run a cell until it touches the path ``begun``; its message id (str)."""
    with tempfile.TemporaryDirectory() as directory:
        # Not by printing: ipykernel loses an interrupt while it flushes.
        begun = Path(directory) / "begun"
        # An error would have the kernel refuse what comes right after it.
        message = client.execute(
            f"import pathlib; begun = pathlib.Path({str(begun)!r})\n{code}",
            stop_on_error=False)
        wait(begun.exists, "the cell does not begin")
    return message


def interrupt(manager, client):
    """Stop a cell that sleeps; the name of its error (str)."""
    begin(client, "import time; begun.touch(); time.sleep(60)")
    manager.interrupt_kernel()
    return client.get_shell_msg(timeout=30)["content"]["ename"]


def gone(paths, mark):
    """Assert that no directory and no process of a kernel is left."""
    wait(lambda: not any(path.exists() for path in paths),
         f"a directory is left of {paths}")
    wait(lambda: not processes(mark), "a process is left")


def python_for_others():
    """A Python that every user of this machine may run, of our version."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            shown = subprocess.run(
                [candidate, "-c", "import sys; print(sys.version_info[:2])"],
                user="nobody", cwd="/", capture_output=True, text=True)
        except OSError:
            continue  # it is not there, or not for others
        if shown.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    return None


def run_as(name, code):
    """A Popen of a Python that runs ``code`` as another user."""
    import site

    python = python_for_others()
    if python is None:
        pytest.skip("no Python of our version that other users may run")
    return subprocess.Popen(
        [python, "-c", code], user=name, group="nogroup",
        extra_groups=[], cwd="/", text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={
            "PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), *site.getsitepackages()]),
            "TMPDIR": "/tmp"})
