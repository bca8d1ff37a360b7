"""What a notebook of the Async SQLAlchemy Lab imports.

Names load their module when first used: ``python3 -m labsupport`` passes
through here on a Python that has nothing installed yet.
"""

_HOME = {
    "Endings": "measuring.driver_endings",
    "Ledger": "teaching.claims",
    "check": "teaching.exercises",
    "claim": "teaching.claims",
    "compare": "measuring.comparison",
    "connection_limit": "faults",
    "curve": "measuring.curve",
    "drill": "teaching.drill",
    "engine_anatomy": "instruments.engine_anatomy",
    "expect_failure": "notebook.failures",
    "explain": "teaching.explain",
    "forecast": "measuring.forecast",
    "heartbeats": "instruments.lag_meter",
    "hint": "teaching.exercises",
    "idle_session_timeout": "faults",
    "lag_meter": "instruments.lag_meter",
    "load_ipython_extension": "teaching.explain.extension",
    "loader_explorer": "widgets.loader_explorer",
    "locked": "faults",
    "mysql": "databases",
    "observe": "trace.observe",
    "open_loop": "measuring.load",
    "pgbench": "measuring.pgbench",
    "pool_gauge": "instruments.pool_gauge",
    "pool_lab": "widgets.pool_lab",
    "postgres": "databases",
    "predict": "teaching.predictions",
    "proxy": "faults",
    "read_only": "faults",
    "recorded_matrix": "measuring.driver_endings",
    "report": "notebook.report",
    "restart": "faults",
    "serve": "web",
    "serve_alone": "web",
    "settle": "teaching.predictions",
    "simulate": "measuring.simulation",
    "slow_query": "faults",
    "sqlite": "databases",
    "terminate_backends": "faults",
    "time_bars": "drawing.time_bars",
    "trace_switches": "instruments.switches",
    "unless_missing": "measuring.driver_endings",
    "unload_ipython_extension": "teaching.explain.extension",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError("labsupport has no " + repr(name))
    return getattr(import_module("labsupport." + _HOME[name]), name)
