"""Modules of labsupport import only downwards."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "labsupport"
FLOORS = [  # from the ground up; a room may import from those above it here
    {"environment", "schema", "servers"},
    {"drawing"},
    {"notebook"},
    {"databases"},
    {"faults"},
    {"trace"},
    {"instruments", "measuring", "web"},
    {"teaching", "widgets"},
    {"authoring", "bootstrap", "working_copy", "pool_lab_page"},
    {"lab"},
    {"__init__", "__main__"},
]

DOOR = ["__main__.py", "__init__.py", "bootstrap.py"]


def room_of(path):
    """The name that a file counts under: its own, or its package's."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(path):
    """Names (list of str) of a file's module, below labsupport."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts


def imports(path, source=None):
    """The modules of labsupport that a file imports (lists of names)."""
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    tree = ast.parse(source or path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level \
                else []
            base = base + (node.module or "").split(".")
            base = [part for part in base if part]
            if base[:1] == ["labsupport"]:
                yield from (_module(base[1:], alias.name)
                            for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("labsupport."):
                    yield alias.name.split(".")[1:]


def _module(package, name):
    """``from package import name``: the module that this means."""
    inside = PACKAGE.joinpath(*package, name)
    module = inside.with_suffix(".py").exists() or inside.is_dir()
    return [*package, name] if module else package


def upward(path, source=None):
    """The rooms that a file imports from and that do not lie below it."""
    floor = {name: number for number, names in enumerate(FLOORS)
             for name in names}
    own = room_of(path)
    return [room for room, *_ in imports(path, source)
            if room != own and floor[room] >= floor[own]]


def circles(graph):
    """The modules of a graph (name → names) that lie on a circle."""
    left = {name: set(aims) & set(graph) for name, aims in graph.items()}
    while free := {name for name, aims in left.items() if not aims}:
        left = {name: aims - free for name, aims in left.items()
                if name not in free}
    return sorted(left)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES,
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    assert upward(path) == []


def test_an_import_that_goes_up_is_noticed():
    assert upward(PACKAGE / "schema.py",
                  "from .teaching.claims import claim") == ["teaching"]
    assert upward(PACKAGE / "trace" / "queries.py",
                  "import labsupport.authoring.notebooks") == ["authoring"]
    assert upward(PACKAGE / "servers" / "keeper.py",
                  "from ..databases import sqlite") == ["databases"]


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} == set().union(*FLOORS)


def test_inside_a_room_imports_go_down():
    graph = {}
    for path in FILES:
        own = module_of(path)
        graph[".".join(own)] = {".".join(other) for other in imports(path)
                                if other != own}
    assert circles(graph) == []
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["a", "b", "c"]


@pytest.mark.parametrize("path", FILES,
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_read_in_five_minutes(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines), default=0) <= 80
    assert lines[0].startswith('"""'), "a module says what it is"


def test_no_helper_uses_nest_asyncio():
    for path in FILES:
        assert "nest_asyncio" not in path.read_text(encoding="utf-8"), path


def test_the_door_and_the_keeper_need_only_the_standard_library():
    for name in (*DOOR, "working_copy.py", "servers/keeper.py"):
        assert outside((PACKAGE / name).read_text(encoding="utf-8")) == []


def outside(source):
    """What a module imports (list of str) that a bare Python has not.

    The modules of the door may import one another.
    """
    import sys

    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module)
        elif isinstance(node, ast.ImportFrom):
            names += [f".{node.module or alias.name}" for alias in node.names]
    return [name for name in names
            if name.split(".")[0] not in sys.stdlib_module_names
            and name not in (".bootstrap", ".working_copy")]


def test_a_door_that_needs_more_is_noticed():
    assert outside("import sqlalchemy\nfrom .lab import main\n"
                   "from . import lab\nfrom .bootstrap import ROOT") == [
        "sqlalchemy", ".lab", ".lab"]


@pytest.mark.parametrize("name", DOOR)
def test_an_old_python_can_read_the_door(name):
    ast.parse((PACKAGE / name).read_text(encoding="utf-8"),
              feature_version=(3, 4))
