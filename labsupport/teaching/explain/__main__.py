"""``python3 -m labsupport explain < traceback.txt``: exit 0 if it is known."""

import sys

from . import UNKNOWN, explain


def main(text):
    """Print the explanation of a text (str); returns the exit code."""
    if not text.strip():
        print("Nothing to explain: python3 -m labsupport explain < "
              "traceback.txt, or paste it and end with Ctrl+D.")
        return 2
    found = explain(text)
    print(found.card("notebooks/") if found else UNKNOWN)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
