"""A failure is proved, and told in stable lines."""

import asyncio
import sys

import pytest
from sqlalchemy.exc import MissingGreenlet, StatementError

from labsupport.notebook.failures import expect_failure, wrapped


def test_failure_is_told_in_stable_lines(capsys):
    with expect_failure(StatementError, cause=MissingGreenlet) as failure:
        raise StatementError("m", "SELECT 1", None,
                             MissingGreenlet("no <A at 0x7f0012345678>"))
    assert capsys.readouterr().out == (
        "✗ raised StatementError\n"
        "  caused by  MissingGreenlet\n"
        "  says       no <A at 0x…>\n"
        "  your line  raise StatementError(\"m\", \"SELECT 1\", None,\n")
    assert failure.chain == (StatementError, MissingGreenlet)


@pytest.mark.parametrize("arguments, raised, complaint", [
    ((ValueError,), None, "nothing was raised"),
    ((ValueError,), KeyError("x"), "KeyError was raised"),
    (((ValueError, OSError),), KeyError("x"), "ValueError or OSError was"),
])
def test_another_failure_is_not_accepted(arguments, raised, complaint):
    with pytest.raises(AssertionError, match=complaint):
        with expect_failure(*arguments):
            if raised:
                raise raised


def test_cause_and_phrase_have_to_fit():
    with pytest.raises(AssertionError, match="expected as the cause"):
        with expect_failure(ValueError, cause=MissingGreenlet):
            raise ValueError("x")
    with pytest.raises(AssertionError, match="expected in the message"):
        with expect_failure(ValueError, phrase="y"):
            raise ValueError("x")


def test_the_line_with_the_phrase_is_shown(capsys):
    with expect_failure(ValueError, phrase="second"):
        raise ValueError("first\n  second (Background on this error at: …)")
    assert "says       second\n" in capsys.readouterr().out


def test_a_time_limit_reads_the_same_on_every_python():
    """``asyncio.timeout`` raises ``from`` since 3.11.3, and not before."""
    def before():
        raise TimeoutError

    def since():
        raise TimeoutError from sys.exception()

    for end in (before, since):
        with expect_failure(TimeoutError, show=False) as failure:
            try:
                raise asyncio.CancelledError
            except asyncio.CancelledError:
                end()
        assert failure.chain == (TimeoutError, asyncio.CancelledError)


def test_a_group_is_followed_to_what_is_in_it(capsys):
    async def fail():
        raise StatementError("m", "SELECT 1", None,
                             MissingGreenlet("no greenlet"))

    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())

    with expect_failure(ExceptionGroup, cause=MissingGreenlet,
                        phrase="no greenlet") as failure:
        asyncio.run(group())
    assert failure.chain == (ExceptionGroup, StatementError, MissingGreenlet)
    shown = capsys.readouterr().out
    assert "says       no greenlet\n" in shown
    assert "your line  raise StatementError(" in shown


def test_a_chain_that_bites_its_tail_ends():
    error = ValueError("x")
    error.__cause__ = error
    assert list(wrapped(error)) == [error]
