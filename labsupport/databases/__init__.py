"""A fresh database for this notebook, and the URLs that lead to it."""

from .mariadb import mysql
from .postgresql import postgres
from .sqlite import sqlite

__all__ = ["mysql", "postgres", "sqlite"]
