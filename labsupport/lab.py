"""JupyterLab for a learner: at the first lesson, in a copy that is theirs.

    python3 -m labsupport lab [ARGUMENTS of jupyter lab]

It keeps a layout of its own, apart from that of other projects.
"""

import json
import os
import socket
import sys
from pathlib import Path

import nbformat
from jupyter_core import paths
from nbformat.sign import NotebookNotary

from . import working_copy
from .servers import ServerError
from .servers.discover import mariadb_programs

SETTINGS = Path(__file__).with_name("jupyterlab")  # of overrides.json
FIRST = "00_start_here.ipynb"
WORKSPACES = ".workspaces"  # in the copy
LAYOUT = {  # at first: files, whose names are whole, and contents are open
    "relativeSizes": [0.22, 0.61, 0.17],
    "left": {"collapsed": False, "current": "filebrowser", "visible": True,
             "widgets": ["filebrowser", "running-sessions"]},
    "right": {"collapsed": False, "current": "@jupyterlab/toc:plugin",
              "visible": True, "widgets": ["@jupyterlab/toc:plugin"]},
}


def options(root):
    """The options (list of str) of ``jupyter lab`` that open ``root``."""
    copy = Path(root) / working_copy.COPY.name
    words = [f"--ServerApp.root_dir={root}",
             f"--LabApp.app_settings_dir={SETTINGS}",
             f"--LabApp.workspaces_dir={copy / WORKSPACES}",
             f"--LabApp.default_url=/lab/tree/{copy.name}/{FIRST}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # JupyterLab asks root to insist
    return words


def lay_out(root):
    """Give the copy in ``root`` its first layout, if it has none yet."""
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    place = Path(root) / working_copy.COPY.name / WORKSPACES
    place.mkdir(parents=True, exist_ok=True)
    if not any(place.iterdir()):
        WorkspacesManager(str(place)).save("default", json.dumps({
            "data": {"layout-restorer:data": LAYOUT},
            "metadata": {"id": "default"}}))


def trust(root):
    """Sign the copies that are still originals.

    JupyterLab shows buttons that were saved only in a notebook that it trusts
    as a whole: one that is signed, or whose every cell it has run.
    """
    notary = NotebookNotary()
    for original in working_copy.ORIGINALS.rglob("*.ipynb"):
        mine = Path(root) / working_copy.COPY.name / original.relative_to(
            working_copy.ORIGINALS)
        if mine.exists() and mine.read_bytes() == original.read_bytes():
            notary.sign(nbformat.read(mine, as_version=4))
    notary.store.close()


def unwritable():
    """The directories (list of str) of Jupyter that cannot be written to."""
    needed = (paths.jupyter_config_dir(), paths.jupyter_data_dir(),
              paths.jupyter_runtime_dir())
    return [path for path in needed if not _may_write(path)]


def running(root):
    """A JupyterLab that serves ``root`` already: what it says of itself
    (dict with ``url``, ``token``, ``port``), or None."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        if os.path.realpath(server["root_dir"]) == os.path.realpath(root) \
                and _answers(server):
            return server
    return None


def missing_servers():
    """A sentence (str) about each server that is not on this machine."""
    if os.environ.get("LAB_MYSQL_URL"):
        return []
    try:
        mariadb_programs()
    except ServerError as error:
        return [f"{error} Until then lesson 03 shows recorded results."]
    return []


def main(arguments):
    """Open JupyterLab; returns when it ends, or the exit code (int)."""
    root = working_copy.ROOT
    if closed := unwritable():
        print(f"Jupyter cannot write to {closed[0]}: make it writable, or set"
              " HOME to a directory that you may write to.", file=sys.stderr)
        return 2
    if server := running(root):
        print(f"JupyterLab runs in this folder already: {server['url']}lab"
              f"?token={server['token']} (to stop it: '.venv/bin/jupyter "
              f"server stop {server['port']}').")
        return 0
    for name in working_copy.refresh():
        print(f"{name} is new in the course, and you have changed it: yours "
              f"is kept; 'python3 -m labsupport restore {name}' brings "
              "the new one and keeps yours beside it.")
    for sentence in missing_servers():
        print(sentence)
    from jupyterlab.labapp import main as serve

    trust(root)
    lay_out(root)
    sys.stdout.flush()
    return serve(options(root) + arguments)


def _may_write(path):
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return os.access(path, os.W_OK | os.X_OK)


def _answers(server):
    """Whether a port answers: a process of that number may be another."""
    try:
        socket.create_connection(
            ("localhost", server["port"]), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
