"""Modules of labsupport import only downwards."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "labsupport"
FLOORS = [  # from the ground up; a floor may import from those above it here
    {"servers", "figure", "svg", "stacks", "schema", "origins",
     "connections", "interrupts", "sources", "wrapping"},
    {"progress", "events"},
    {"databases", "generator", "sequence"},
    {"environment", "anatomy", "failures", "hooks", "queries", "spans",
     "switches", "lag", "load", "limit"},
    {"timeline", "holders", "comparison"},
    {"pool"},
    {"trace", "gauge"},
    {"claims", "exercises", "predictions", "programs"},
    {"endings"},
    {"authoring", "__main__", "__init__"},
    {"recording"},
]
SERVERS = [{"__init__", "keeper"}, {"discover", "own"},
           {"mariadb", "postgres"}]


def module_of(path):
    """The name that a file counts under: its own, or its package's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path, source=None):
    """Names of the modules of labsupport that a file imports."""
    package = list(path.relative_to(PACKAGE.parent).parts[:-1])
    tree = ast.parse(source or path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level \
                else []
            base = base + (node.module or "").split(".")
            base = [part for part in base if part]
            if base[:1] == ["labsupport"]:
                if base[1:]:
                    yield base[1:]
                else:
                    yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("labsupport."):
                    yield alias.name.split(".")[1:]


def upward(path, source=None):
    """The imports of a file that do not go down."""
    floor = {name: number for number, names in enumerate(FLOORS)
             for name in names}
    own = module_of(path)
    return [other for other, *_ in imports(path, source)
            if other != own and floor[other] >= floor[own]]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES,
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    assert upward(path) == []


def test_an_import_that_goes_up_is_noticed():
    assert upward(PACKAGE / "schema.py", "from .claims import claim") \
        == ["claims"]
    assert upward(PACKAGE / "queries.py", "import labsupport.authoring") \
        == ["authoring"]
    assert upward(PACKAGE / "servers" / "keeper.py",
                  "from ..databases import sqlite") == ["databases"]


def test_every_module_has_a_floor():
    assert {module_of(path) for path in FILES} == set().union(*FLOORS)


def test_servers_import_down():
    order = {name: number for number, names in enumerate(SERVERS)
             for name in names}
    for path in (PACKAGE / "servers").glob("*.py"):
        for names in imports(path):
            if names[0] == "servers" and len(names) > 1:
                assert order[names[1]] < order[path.stem], path


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
    import sys

    for path in (PACKAGE / "__main__.py", PACKAGE / "__init__.py",
                 PACKAGE / "servers" / "keeper.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "."]
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("name", ["__main__.py", "__init__.py"])
def test_an_old_python_can_read_the_door(name):
    ast.parse((PACKAGE / name).read_text(encoding="utf-8"),
              feature_version=(3, 4))
