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
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
    fixed = _fixed(trees.values())
    for each in statements:
        for name in set(_bound(each)) - imported - fixed:
            rests_on.setdefault(name, set()).update(_used(each) - fixed)
    for cell_id, tree in trees.items():
        for part in _evidence(tree):
            if RUN not in _all_below(_used(part, fixed), rests_on) \
                    or _is_decided(part):
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
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).split(".")[0]
        elif isinstance(node, ast.Subscript) \
                and isinstance(node.ctx, ast.Store) \
                or isinstance(node, ast.Call) \
                and isinstance(node.func, ast.Attribute):
            if isinstance(inner := _innermost(node), ast.Name):
                yield inner.id  # seen["threads"].add(…)


def _fixed(trees):
    """Names that stand for one constant, wherever they are bound: ``ok`` of
    ``ok = True``, also beside an await, and functions that return no more."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constant = {id(target): node.value.value for node in nodes
                if isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                for target in node.targets}
    stands_for = {}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name, value = node.id, constant.get(id(node), RUN)
        elif isinstance(node, FUNCTIONS):
            name, value = node.name, _returned(node)
        elif isinstance(node, (ast.ClassDef, ast.arg, ast.alias)):
            name = getattr(node, "arg", None) or getattr(
                node, "asname", None) or node.name
            value = RUN
        else:
            continue
        stands_for.setdefault(name, set()).add((type(value), value))
    return {name for name, found in stands_for.items()
            if len(found) == 1 and (str, RUN) not in found}


def _returned(function):
    """The constant that a function returns in each case, or ``RUN``."""
    inside = list(ast.walk(function))[1:]
    returned = [node.value for node in inside if isinstance(node, ast.Return)]
    if not isinstance(function.body[-1], ast.Return) or any(
            isinstance(node, (ast.Yield, *FUNCTIONS)) for node in inside) \
            or len(set(map(ast.unparse, filter(None, returned)))) != 1 \
            or not all(isinstance(each, ast.Constant) for each in returned):
        return RUN
    return returned[0].value


def _is_decided(part):
    """Whether ``or True``, ``and False`` decides a part of a claim (bool)."""
    return any(
        isinstance(node, ast.BoolOp) and any(
            isinstance(value, ast.Constant)
            and bool(value.value) is isinstance(node.op, ast.Or)
            for value in node.values)
        for node in ast.walk(part))


def _used(tree, fixed=frozenset()):
    """The names in a tree; ``RUN`` if it awaits or imports from a library.

    To await one of the ``fixed`` functions tells nothing.
    """
    used = {node.id for node in ast.walk(tree)
            if isinstance(node, ast.Name)} - fixed
    if any(isinstance(node, ASYNC) and not (
            isinstance(node, ast.Await) and isinstance(node.value, ast.Call)
            and _name(node.value.func) in fixed) for node in ast.walk(tree)):
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
