"""An ASGI application, served in a notebook over real HTTP."""

from .serving import serve
from .serving_alone import serve_alone

__all__ = ["serve", "serve_alone"]
