"""What a name stands for, cell by cell.

After Run All, readers go back to a cell and run it again. If a later cell has
given the name of a function to something else, that cell fails.
"""

import ast
import dis
from types import CodeType

from IPython.core.inputtransformer2 import TransformerManager


def taken(notebook):
    """Names of functions and classes (str) that a later cell gives to
    something else, though a cell before it needs them as they were."""
    cells = [_names(cell.source) for cell in notebook.cells
             if cell.cell_type == "code"]
    last = {name: made.get(name) for made, bound, _ in cells for name in bound}
    now, found = {}, set()
    for made, bound, needed in cells:
        now |= {name: made.get(name) for name in bound}
        found |= {name for name in needed & now.keys()
                  if now[name] != last[name]}
    return sorted(found)


def _names(source):
    """Of a cell: its functions and classes (name → text), what it binds, and
    what it needs from before or when one of them is called."""
    tree = ast.parse(TransformerManager().transform_cell(source))
    made = {node.name: ast.unparse(node) for node in tree.body
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef,
                                 ast.ClassDef))}
    code = compile(tree, "cell", "exec",
                   flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    bound = {one.argval for one in dis.get_instructions(code)
             if one.opname == "STORE_NAME"}
    used = {one.argval for one in dis.get_instructions(code)
            if one.opname == "LOAD_NAME"}
    return made, bound, (used - bound) | _called_later(code)


def _called_later(code):
    """Global names (set of str) that the functions in ``code`` look up."""
    found = set()
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= {one.argval for one in dis.get_instructions(inner)
                      if one.opname == "LOAD_GLOBAL"}
            found |= _called_later(inner)
    return found
