"""What the evidence of a claim rests on, as far as its code tells.

A proof must be able to come out otherwise. So each part of it has to follow
from something that the notebook awaits, or asks a library.
"""

import ast
import re
import sys

BENT = {"sys": {"setswitchinterval", "setrecursionlimit"},
        "gc": {"set_threshold", "disable"}}
IMPORTS = (ast.Import, ast.ImportFrom)
ASYNC = (ast.Await, ast.AsyncFor, ast.AsyncWith)
RUN = "a run"  # no name in Python looks like this


def parsed(cell):
    """The syntax tree of a code cell, without its magics."""
    source = re.sub(r"^[%!].*$", "", cell.source, flags=re.M)
    return compile(source, cell.id, "exec",
                   ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def idle(notebook):
    """Parts of claims that no run can change: (id of the cell, code)."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    trees = {cell.id: parsed(cell) for cell in code}
    statements = [each for tree in trees.values() for each in tree.body]
    rests_on = {name: _used(each) for each in statements
                if isinstance(each, IMPORTS) for name in _bound(each)}
    imported = set(rests_on)  # a use does not change it
    for each in statements:
        for name in set(_bound(each)) - imported:
            rests_on.setdefault(name, set()).update(_used(each))
    for cell_id, tree in trees.items():
        for part in _evidence(tree):
            if RUN not in _all_below(_used(part), rests_on):
                yield cell_id, ast.unparse(part)


def bent(notebook):
    """Switches of the interpreter that are turned: (id of the cell, name)."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(parsed(cell)):
            if isinstance(node, ast.ImportFrom):
                found = [(node.module, one.name) for one in node.names]
            elif isinstance(node, ast.Attribute) \
                    and isinstance(node.value, ast.Name):
                found = [(node.value.id, node.attr)]
            else:
                continue
            for module, name in found:
                if name in BENT.get(module, ()):
                    yield cell.id, f"{module}.{name}"


def _evidence(tree):
    """The parts (expressions) of the evidence of every claim in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "claim":
            evidence = node.args[1]
            if isinstance(evidence, ast.Dict):
                yield from evidence.values
            else:
                yield evidence


def _bound(statement):
    """Names that a statement binds, or changes what they stand for."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef,
                               ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).split(".")[0]
        elif isinstance(node, ast.Subscript) \
                and isinstance(node.ctx, ast.Store) \
                or isinstance(node, ast.Call) \
                and isinstance(node.func, ast.Attribute):
            if isinstance(inner := _innermost(node), ast.Name):
                yield inner.id  # seen["threads"].add(…)


def _used(tree):
    """The names in a tree; ``RUN`` if it awaits or imports from a library."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if any(isinstance(node, ASYNC) for node in ast.walk(tree)):
        used.add(RUN)
    modules = [one.name for one in getattr(tree, "names", [])]
    if isinstance(tree, ast.ImportFrom):
        modules = [tree.module]
    if any(module.split(".")[0] not in sys.stdlib_module_names
           for module in modules):
        used.add(RUN)
    return used


def _all_below(names, rests_on):
    """``names`` and everything that they rest on."""
    seen, ahead = set(), set(names)
    while ahead:
        name = ahead.pop()
        seen.add(name)
        ahead |= rests_on.get(name, set()) - seen
    return seen


def _innermost(node):
    """``a`` of ``a.b[c].d(e)``."""
    while not isinstance(node, ast.Name):
        node = getattr(node, "value", None) or getattr(node, "func", None)
        if node is None:
            return None
    return node


def _name(node):
    return node.id if isinstance(node, ast.Name) else ""
