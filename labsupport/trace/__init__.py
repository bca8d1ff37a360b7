"""Observe an engine: one account of its connections, seen in several ways."""
