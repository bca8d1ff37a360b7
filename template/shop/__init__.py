"""A small record shop: what a service on async SQLAlchemy should have."""
