"""Run the benchmarks that are named, or all: python3 -m labsupport bench."""

import asyncio
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
ALL = sorted(path.stem for path in HERE.glob("[a-z]*.py"))


def main(names):
    unknown = set(names) - set(ALL)
    if unknown:
        print(f"No benchmark is called {unknown.pop()!r}: choose from "
              f"{', '.join(ALL)}.", file=sys.stderr)
        return 2
    for name in names or ALL:
        benchmark = import_module(name)
        print(f"{name}: {benchmark.__doc__.strip().splitlines()[0]}\n")
        asyncio.run(benchmark.main())
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
