"""What a statement is, read from its text as a database would read it."""

import sqlglot
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType as T

# SQLAlchemy's names of dialects → sqlglot's.
_NAMES = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql",
          "sqlite": "sqlite"}
_VERBS = {T.SELECT, T.TABLE, T.VALUES, T.INSERT, T.UPDATE, T.DELETE, T.MERGE}


def is_select(sql, dialect):
    """Whether ``sql`` (str) selects; ``dialect`` is SQLAlchemy's name for it.

    So does ``TABLE t``, which is short for ``SELECT * FROM t``.
    """
    tokens = _tokens(sql, dialect)
    while tokens and tokens[0][0].token_type == T.L_PAREN:
        tokens.pop(0)
    if tokens and tokens[0][0].token_type == T.WITH:
        # What it names is in parentheses; the verb is not, or selects.
        level = tokens[0][1]
        tokens = [(token, depth) for token, depth in tokens
                  if depth == level and token.token_type in _VERBS]
        if not tokens:
            return True
    return bool(tokens) and tokens[0][0].token_type in (T.SELECT, T.TABLE)


def without_columns(sql, dialect):
    """A SELECT without its list of columns, which is rarely the point."""
    tokens = _tokens(sql, dialect)
    if not tokens or tokens[0][0].token_type != T.SELECT:
        return sql
    compares = False  # as IS [NOT] DISTINCT FROM does
    for token, depth in tokens:
        kind = token.token_type
        if kind == T.FROM and not depth and not compares:
            return f"{sql[:tokens[0][0].end + 1]} … {sql[token.start:]}"
        compares = kind in (T.IS, T.NOT) or compares and kind == T.DISTINCT
    return sql


def _tokens(sql, dialect):
    """The (token, how deep in parentheses it is) of ``sql``, a list."""
    try:
        tokens = sqlglot.tokenize(sql, read=_NAMES.get(dialect))
    except TokenError:  # no database will read it either
        return []
    found, depth = [], 0
    for token in tokens:
        if token.token_type == T.R_PAREN:
            depth -= 1
        found.append((token, depth))
        if token.token_type == T.L_PAREN:
            depth += 1
    return found
