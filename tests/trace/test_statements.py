"""A statement is read as a database reads it."""

import pytest

from labsupport.trace.statements import is_select, without_columns

SELECTS = [
    "SELECT 1", "select 1", "  (SELECT 1) UNION (SELECT 2)", "TABLE t",
    "/* app:shop */ SELECT 1", "-- one\nSELECT 1",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
    "WITH x AS (DELETE FROM t RETURNING id) SELECT id FROM x",
    "WITH x AS (SELECT 1 AS a) (SELECT a FROM x)",
    "((WITH x AS (SELECT 1) SELECT 2) UNION SELECT 3)",
    "SELECT id FROM t FOR UPDATE",
]
OTHERS = [
    "INSERT INTO t SELECT 1", "UPDATE t SET a = (SELECT 1)",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    "-- SELECT 1\nDELETE FROM t", "EXPLAIN SELECT 1", "SAVEPOINT a",
    "CREATE TABLE t AS SELECT 1", "", "SELECT 'never ended",
]


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mariadb",
                                     "sqlite", "another"])
def test_what_selects(dialect):
    assert [sql for sql in SELECTS if not is_select(sql, dialect)] == []
    assert [sql for sql in OTHERS if is_select(sql, dialect)] == []


@pytest.mark.parametrize("sql, short", [
    ("SELECT a, b FROM t WHERE a = 1", "SELECT … FROM t WHERE a = 1"),
    ("select a from t", "select … from t"),
    ("SELECT extract(year FROM at), id FROM t", "SELECT … FROM t"),
    ("SELECT id, 'a FROM b' AS note FROM t", "SELECT … FROM t"),
    ('SELECT id AS "x FROM y" FROM t', "SELECT … FROM t"),
    ("SELECT a IS NOT DISTINCT FROM b FROM t", "SELECT … FROM t"),
    ("SELECT DISTINCT a FROM t", "SELECT … FROM t"),
    ("SELECT (SELECT max(a) FROM u) FROM t", "SELECT … FROM t"),
    ("/* app */ SELECT a FROM t", "/* app */ SELECT … FROM t"),
    ("SELECT 1", "SELECT 1"),
    ("SELECT 'FROM'", "SELECT 'FROM'"),
    ("INSERT INTO t SELECT a FROM u", "INSERT INTO t SELECT a FROM u"),
    ("SELECT 'never ended FROM t", "SELECT 'never ended FROM t"),
])
def test_the_list_of_columns_is_left_out(sql, short):
    assert without_columns(sql, "postgresql") == short


def test_quotes_of_mysql():
    sql = 'SELECT `a FROM`, "b FROM" FROM t # FROM'
    assert without_columns(sql, "mysql") == "SELECT … FROM t # FROM"
