"""Faults on purpose: of the network (``proxy``) and of the server."""

from .proxy import proxy
from .server import (
    connection_limit,
    idle_session_timeout,
    locked,
    read_only,
    restart,
    slow_query,
    terminate_backends,
)

__all__ = ["connection_limit", "idle_session_timeout", "locked", "proxy",
           "read_only", "restart", "slow_query", "terminate_backends"]
