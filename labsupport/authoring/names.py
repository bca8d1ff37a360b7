"""What a name stands for, cell by cell.

After Run All, readers go back to a cell and run it again. If a later cell has
given the name of a function to something else, that cell fails.
"""

import ast
import dis
from types import CodeType

from .evidence import FUNCTIONS, parsed


def taken(notebook):
    """Names of functions and classes (str) that a later cell gives to
    something else, though a cell before it needs them as they were."""
    cells = [_names(parsed(cell)) for cell in notebook.cells
             if cell.cell_type == "code"]
    last = {name: made.get(name) for made, bound, _ in cells for name in bound}
    now, found = {}, set()
    for made, bound, needed in cells:
        now |= {name: made.get(name) for name in bound}
        found |= {name for name in needed & now.keys()
                  if now[name] != last[name]}
    return sorted(found)


def _names(tree):
    """Of the tree of a cell: its functions and classes (name → text), what it
    binds, and what it needs from before or when one of them is called."""
    made = {node.name: ast.unparse(node) for node in tree.body
            if isinstance(node, (*FUNCTIONS, ast.ClassDef))}
    code = compile(tree, "cell", "exec",
                   flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    bound, used = _of(code, "STORE_NAME"), _of(code, "LOAD_NAME")
    return made, bound, (used - bound) | _called_later(code)


def _called_later(code):
    """Global names (set of str) that the functions in ``code`` look up."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return set().union(*(_of(one, "LOAD_GLOBAL") | _called_later(one)
                         for one in inner))


def _of(code, operation):
    """The names (set of str) on which ``code`` does this operation."""
    return {one.argval for one in dis.get_instructions(code)
            if one.opname == operation}
