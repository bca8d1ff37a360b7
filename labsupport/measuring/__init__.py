"""Load, and what it costs: always in a process of its own."""
