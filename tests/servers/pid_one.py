"""Run as PID 1 of a namespace; it never reaps whom it has not started."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KERNEL = """
import json, os, time
from labsupport.servers import postgres
kept = postgres.running().kept
pid = int((kept.directory / "data" / "postmaster.pid").read_text().split()[0])
print(json.dumps([str(kept.directory), pid]), flush=True)
time.sleep(60)
"""


def kernel():
    process = subprocess.Popen([sys.executable, "-c", KERNEL], text=True,
                               stdout=subprocess.PIPE)
    directory, pid = json.loads(process.stdout.readline())
    return process, Path(directory), pid


def wait(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


assert os.getpid() == 1
process, directory, pid = kernel()
os.kill(process.pid, signal.SIGKILL)
# Not waited for: the keeper is an orphan now, and nobody will reap it.
assert wait(lambda: not directory.exists()), "the directory is left"
assert not Path(f"/proc/{pid}").exists(), "the server is left, as a zombie"
second, directory, pid = kernel()
os.kill(second.pid, signal.SIGKILL)
assert wait(lambda: not directory.exists()), "the second directory is left"
print("directory gone, server gone, starts again")
