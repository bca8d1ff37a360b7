"""A fresh database for this notebook, and the URLs that lead to it."""

from .file import sqlite
from .mariadb import mysql
from .postgresql import postgres

__all__ = ["mysql", "postgres", "sqlite"]
