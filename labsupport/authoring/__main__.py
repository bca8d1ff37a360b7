"""What a maintainer does with the notebooks.

    python3 -m labsupport author [NOTEBOOK …]    run and rewrite
    python3 -m labsupport check  [NOTEBOOK …]    exit 1 if that would change
"""

import sys
from pathlib import Path

from . import course_map, notebooks
from .course_map import MAP


def main(command, names):
    """Run ``check`` or ``author``; returns the exit code."""
    paths = [Path(name).resolve() for name in names] or notebooks.course()
    known = {path.name for path in notebooks.course()}
    for path in paths:
        if not path.is_file() or path.name not in known:
            print(f"{path} is no lesson: name files of notebooks/, or none "
                  "for all of them.", file=sys.stderr)
            return 2
    if command == "check":
        bad = [path for path in paths if notebooks.stale(path)]
        bad += [MAP] if course_map.stale() else []
        for path in bad:
            print(f"{path.name} is not in its stored form: run "
                  "'python3 -m labsupport author' and look at the difference.")
        return 1 if bad else 0
    for path in paths:
        print(f"{path.name} …", flush=True)
        print("  changed" if notebooks.author(path) else "  the same")
    MAP.write_text(course_map.current(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
