"""A function of your notebook, as a program that can run elsewhere."""

import ast
import inspect
import symtable
import sys
import textwrap
from types import FunctionType, ModuleType


def program(function):
    """Source text (str) that defines ``function`` on its own.

    What it uses from the notebook comes along: imports, functions, and
    values that can be written down (numbers, text, containers of those).
    Raises TypeError for what has to stay here, such as an engine.
    """
    parts = {}
    _add(function, parts)
    return "\n".join(parts.values())


def _add(function, parts):
    """Write ``function``, below all that it uses, into name → source."""
    function = inspect.unwrap(function)  # what a decorator has hidden
    name = function.__name__
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:
        raise TypeError(f"The source of {name} is not known: define it in a "
                        "cell of its own, or in a file.") from None
    around = {**function.__globals__,
              **inspect.getclosurevars(function).nonlocals}
    parts[name] = ""  # a function may use itself
    for used in sorted(_free(symtable.symtable(source, name, "exec"))):
        if used in parts or used not in around:
            continue  # written already, or a builtin
        value = around[used]
        if line := _import(used, value) or _literal(used, value):
            parts[used] = line
        elif isinstance(value, FunctionType):
            _add(value, parts)
            if used != value.__name__:
                parts[used] = f"{used} = {value.__name__}"
        else:
            raise TypeError(
                f"{name} uses {used!r}, a {type(value).__name__} that cannot "
                f"leave this kernel: make it inside {name}, or import it.")
    del parts[name]  # to the end: Python reads from above
    parts[name] = source


def _free(table):
    """Names that a program takes from outside, at any depth."""
    names = {symbol.get_name() for symbol in table.get_symbols()
             if symbol.is_referenced() and symbol.is_global()}
    return names.union(*map(_free, table.get_children()))


def _import(name, value):
    """The line that imports ``value`` as ``name``, if it can be imported."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    home = getattr(value, "__module__", None)
    if home == "__main__":
        return None
    for theirs in (getattr(value, "__name__", None), name):
        if theirs and getattr(sys.modules.get(home), theirs, None) is value:
            return f"from {home} import {theirs} as {name}"
    return None


def _literal(name, value):
    """The line that gives ``name`` a value, if it can be written down."""
    try:
        if ast.literal_eval(repr(value)) == value:
            return f"{name} = {value!r}"
    except (ValueError, SyntaxError):
        pass
    return None
