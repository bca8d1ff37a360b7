"""What a deployment decides, from the environment."""

import os
from dataclasses import dataclass, field


def _number(name, default):
    return field(default_factory=lambda: int(os.environ.get(name, default)))


@dataclass(frozen=True)
class Settings:
    """``DATABASE_URL`` chooses PostgreSQL (``postgresql+asyncpg://…`` or
    ``postgresql+psycopg://…``) or SQLite (``sqlite+aiosqlite:///…``). The
    times are in milliseconds.

    Each timeout is longer than the one above it, and the client's patience is
    longer than all: who gives up first should be who can say why.
    """

    database_url: str = field(default_factory=lambda: os.environ.get(
        "DATABASE_URL", "sqlite+aiosqlite:///shop.db"))
    lock_timeout: int = _number("LOCK_TIMEOUT", 2_000)
    statement_timeout: int = _number("STATEMENT_TIMEOUT", 5_000)
    pool_timeout: int = _number("POOL_TIMEOUT", 6_000)
    # Longer than the load balancer needs to see that `ready` is 503.
    drain: int = _number("DRAIN", 0)
    # processes × (pool_size + max_overflow + 1) has to fit max_connections.
    pool_size: int = _number("POOL_SIZE", 10)
    max_overflow: int = _number("MAX_OVERFLOW", 0)
