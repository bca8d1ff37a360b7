"""What a notebook of the Async SQLAlchemy Lab imports.

Names load their module when first used: ``python3 -m labsupport`` passes
through here on a Python that has nothing installed yet.
"""

_HOME = {
    "Endings": "endings",
    "check": "exercises",
    "claim": "claims",
    "compare": "comparison",
    "engine_anatomy": "anatomy",
    "expect_failure": "failures",
    "hint": "exercises",
    "lag_meter": "lag",
    "mysql": "databases",
    "observe": "trace",
    "open_loop": "load",
    "pgbench": "limit",
    "pool_gauge": "gauge",
    "postgres": "databases",
    "predict": "predictions",
    "report": "environment",
    "sqlite": "databases",
    "trace_switches": "switches",
    "unless_missing": "endings",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError("labsupport has no " + repr(name))
    return getattr(import_module("labsupport." + _HOME[name]), name)
