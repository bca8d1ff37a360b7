"""Faults on purpose: of the network (``proxy``) and of the server."""

from .proxy import proxy

__all__ = ["proxy"]
