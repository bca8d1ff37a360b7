"""The pool tuning lab alone, as a page of its own: for a projector.

    python3 -m labsupport pool-lab [ARGUMENTS of voila]
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat

CELLS = (
    nbformat.v4.new_markdown_cell("# The pool tuning lab"),
    nbformat.v4.new_code_cell(
        "from labsupport import pool_lab\nlab = await pool_lab()\nlab"),
)
# Voila's page names stylesheets (icons) of another host: they are not asked
# for. The page's own modules come as blobs.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws:"


def main(arguments):
    """Serve the page and open it; returns when it ends."""
    from voila.app import main as serve

    # The kernel has another directory, and imports labsupport all the same.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (
        str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "pool_lab.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=CELLS), page)
        return serve([
            str(page), "--show_tracebacks=True", "--Voila.tornado_settings="
            + repr({"headers": {"Content-Security-Policy": POLICY}}),
            # Who closes the page, ends its kernel and its server.
            "--MappingKernelManager.cull_idle_timeout=60",
            "--MappingKernelManager.cull_interval=10", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
