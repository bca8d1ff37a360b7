"""The link to a database is slow, silent, cut or down, and then as before."""

import asyncio
import os
import socket
import threading
import time
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
from observing import DRIVERS, ONE, until
from observing import run as go
from shop import MAKERS
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from labsupport.databases import postgres, sqlite
from labsupport.environment import release_series
from labsupport.faults import proxy, server
from labsupport.faults.connection import Chunk, deafen
from labsupport.faults.toxics import Latency
from labsupport.servers import NotInstalled, ServerError
from labsupport.servers.starting import free_port

LONG = 60_000  # milliseconds: longer than any test


def pulls_cables():
    """Whether this system lets this user have a filter of a TCP socket."""
    with socket.socket() as tried:
        try:
            deafen(tried)
        except OSError:
            return False
    return True


CABLES = pulls_cables()
WITH_A_CABLE = pytest.mark.skipif(
    not CABLES, reason="only root may pull a cable here")


@asynccontextmanager
async def linked(driver, **options):
    """A link to a fresh database, and an engine that has used it once."""
    db = await MAKERS.get(driver, postgres)()
    async with proxy(db) as link:
        engine = create_async_engine(getattr(link, driver), pool_size=1,
                                     max_overflow=0, **options)
        await ask(engine)
        try:
            yield db, link, engine
        finally:
            await engine.dispose()
    await db.drop()


async def ask(engine, statement=ONE):
    async with engine.connect() as connection:
        return await connection.scalar(statement)


async def seconds(engine, statement=ONE):
    began = time.perf_counter()
    await ask(engine, statement)
    return time.perf_counter() - began


async def connect_anew(link, driver):
    engine = create_async_engine(getattr(link, driver))
    try:
        return await ask(engine)
    finally:
        await engine.dispose()


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_link_has_the_urls_of_the_database(driver):
    async def work():
        async with linked(driver) as (db, link, engine):
            assert getattr(link, driver).set(port=0) \
                == getattr(db, driver).set(port=0)
            assert getattr(link, driver).port != getattr(db, driver).port
            assert (link.accepted, link.connections, link.held) == (1, 1, 0)
            assert await db.connections() == 1
            await engine.dispose()
            await until(lambda: link.connections == 0)
            assert repr(link) == "link: 0 toxics, 0 connections"

    go(work())


def test_mariadb_is_linked_too():
    async def work():
        try:
            async with linked("aiomysql") as (_, link, engine):
                with link.latency(30):
                    assert await seconds(engine) >= 0.03
        except NotInstalled as missing:
            pytest.skip(str(missing))

    go(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_latency_makes_each_round_trip_longer(driver):
    async def work():
        async with linked(driver) as (_, link, engine):
            with link.latency(20):
                assert await seconds(engine) >= 0.02
                began = time.perf_counter()
                await connect_anew(link, driver)
                assert time.perf_counter() - began >= 0.06, "several trips"
                with link.latency(30), link.latency(10, stream="upstream"):
                    assert await seconds(engine) >= 0.06, "they add up"
            with link.latency(20, stream="upstream"):
                assert await seconds(engine) >= 0.02
            assert min([await seconds(engine) for _ in range(20)]) < 0.02

    go(work())


def test_the_end_of_latency_lets_go_what_is_under_way():
    async def work():
        async with linked("asyncpg") as (_, link, engine):
            with link.latency(LONG):
                task = asyncio.create_task(ask(engine))
                await until(lambda: link.held)
            assert await task == 1 and link.held == 0

    go(work())


def test_jitter_varies_the_latency_and_is_never_negative():
    def delay(luck, jitter):
        return Latency(ms=50, jitter=jitter).delay(Chunk(b"", 0, luck))

    assert [delay(luck, 20) for luck in (-1, 0, 1)] == [0.03, 0.05, 0.07]
    assert delay(-1, 80) == 0


def test_jitter_keeps_the_order():
    async def work():
        async with linked("asyncpg") as (_, link, engine):
            with link.latency(2, jitter=2):
                wide = text("SELECT string_agg(i::text, ',' ORDER BY i) "
                            "FROM generate_series(1, 40000) AS s(i)")
                assert await ask(engine, wide) == ",".join(
                    map(str, range(1, 40001)))

    go(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_bandwidth_is_kilobytes_a_second(driver):
    async def work():
        async with linked(driver) as (_, link, engine):
            wide = text("SELECT repeat('x', 60000)")
            with link.bandwidth(400):
                assert await seconds(engine, wide) >= 0.15
            assert min([await seconds(engine, wide)
                        for _ in range(5)]) < 0.15

    go(work())


CUT = {"asyncpg": DBAPIError, "psycopg": OperationalError}
# What asyncpg raises while it connects SQLAlchemy 2.1 wraps and 2.0 does not;
# an OSError neither does.
CUT_ANEW = {"psycopg": OperationalError,
            "asyncpg": asyncpg.ConnectionDoesNotExistError
            if release_series() == "2.0" else DBAPIError}
REFUSED = {"asyncpg": ConnectionRefusedError, "psycopg": OperationalError}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_cut_meets_present_and_later_connections(driver):
    async def fails(engine, kind):
        with pytest.raises(kind) as failure:
            await ask(engine)
        assert type(failure.value) is kind

    async def work():
        async with linked(driver) as (_, link, engine):
            for fault, later in ((link.reset_peer, CUT_ANEW),
                                 (link.half_close, CUT_ANEW),
                                 (link.down, REFUSED)):
                with fault():
                    await fails(engine, CUT[driver])
                    accepted = link.accepted
                    await fails(engine, later[driver])
                    assert link.accepted - accepted == (later is CUT_ANEW)
                assert await ask(engine) == 1
            await engine.dispose()
            await until(lambda: link.connections == 0)

    go(work())


def test_the_server_learns_of_a_reset_and_of_a_half_close():
    async def work():
        async with linked("asyncpg") as (db, link, engine):
            for fault in (link.reset_peer, lambda: link.half_close("upstream"),
                          link.down):
                assert await ask(engine) == 1
                with fault():
                    await db.unused()
                await engine.dispose()

    go(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_black_hole_is_silent_until_it_ends(driver):
    """Upstream the server has not seen the query, downstream it has run it."""
    async def work():
        async with linked(driver, isolation_level="AUTOCOMMIT") as (
                db, link, engine):  # no BEGIN, which would wait already
            for stream in ("upstream", "downstream"):
                with link.timeout(stream=stream):
                    task = asyncio.create_task(
                        ask(engine, text(f"SELECT '{stream} unanswered'")))
                    await until(lambda: link.held)
                    for _ in range(3):  # round trips past the hole
                        holders = " ".join(await db._holders())
                    assert (f"{stream} unanswered" in holders) \
                        == (stream == "downstream")
                    assert not task.done()
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await connect_anew(link, driver)
                assert await task == f"{stream} unanswered"

    go(work())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_timeout_with_an_end_closes_the_connection(driver):
    async def work():
        async with linked(driver) as (_, link, engine):
            with link.timeout(50):
                with pytest.raises(CUT[driver]):
                    await ask(engine)
                await until(lambda: link.connections == 0)
            with link.timeout(50):
                pass  # it ended earlier: nothing is closed afterwards
            assert await ask(engine) == 1
            connections = link.connections
            await asyncio.sleep(0.1)
            assert link.connections == connections == 1

    go(work())


def test_slow_close_keeps_the_session_of_a_driver_that_is_gone():
    async def work():
        async with linked("asyncpg") as (db, link, engine):
            await engine.dispose()
            one = await asyncpg.connect(
                link.asyncpg.set(drivername="postgresql", query={})
                .render_as_string(False), ssl=False)
            with link.slow_close(LONG):
                one._transport.abort()  # terminate() would say so
                for _ in range(5):  # round trips past it
                    assert await db.connections() == 1
            await db.unused()

    go(work())


FAULTS = [lambda link: link.latency(LONG), lambda link: link.bandwidth(0),
          lambda link: link.slow_close(LONG), lambda link: link.timeout(),
          *[lambda link: link.cut()] * CABLES,
          lambda link: link.reset_peer(), lambda link: link.half_close(),
          lambda link: link.down()]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt,
                                  asyncio.CancelledError])
def test_every_fault_is_undone_whatever_happens(kind):
    async def work():
        async with linked("asyncpg") as (_, link, engine):
            for fault in FAULTS:
                with pytest.raises(kind):
                    with fault(link):
                        assert link._toxics
                        raise kind
                assert not link._toxics
                await engine.dispose()
                assert await ask(engine) == 1

    go(work())


def test_a_fault_is_undone_when_its_task_is_cancelled():
    async def work():
        async with linked("asyncpg") as (_, link, engine):
            async def waits():
                with link.down():
                    await asyncio.Event().wait()

            task = asyncio.create_task(waits())
            await until(lambda: link._toxics)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() and not link._toxics
            await engine.dispose()
            assert await ask(engine) == 1

    go(work())


def test_down_twice_is_down_until_both_have_ended():
    async def work():
        async with linked("asyncpg") as (_, link, engine):
            with link.down():
                with link.down():
                    pass
                with pytest.raises(ConnectionRefusedError):
                    await connect_anew(link, "asyncpg")
            assert await connect_anew(link, "asyncpg") == 1
            await engine.dispose()

    go(work())


def test_a_blocked_loop_does_not_disturb_it():
    async def work():
        async with linked("psycopg") as (_, link, _):
            url = link.psycopg.set(drivername="postgresql")
            with link.latency(1):  # the call below blocks this loop
                with psycopg.connect(url.render_as_string(False)) as one:
                    return one.execute("SELECT 1").fetchone()

    assert go(work()) == (1,)


def test_links_are_independent():
    async def work():
        async with linked("asyncpg") as (_, one, _), \
                linked("asyncpg") as (_, other, engine):
            assert one.asyncpg.port != other.asyncpg.port
            with one.down():
                assert await ask(engine) == 1

    go(work())


def test_a_server_that_does_not_answer_resets():
    async def work():
        async with linked("psycopg") as (_, link, engine):
            link._server = "127.0.0.1", free_port()
            with pytest.raises(OperationalError):
                await connect_anew(link, "psycopg")
            assert await ask(engine) == 1

    go(work())


def test_nothing_is_left_behind():
    """Not even when an engine has not been disposed of, in any fault."""
    async def work():
        db = await postgres()
        await db.connections()
        before = os.listdir("/proc/self/fd"), threading.active_count()
        for fault in FAULTS:
            async with proxy(db) as link:
                engine = create_async_engine(link.asyncpg)
                await ask(engine)
                block = fault(link)
                block.__enter__()
            block.__exit__(None, None, None)  # after the end of the link
            link.close()
            await until(lambda: not link.connections)
            await engine.dispose()
        await until(lambda: len(os.listdir("/proc/self/fd"))
                    == len(before[0]))
        assert threading.active_count() == before[1]
        await db.drop()

    go(work())


def test_what_makes_no_sense_is_refused():
    async def work():
        async with linked("asyncpg") as (_, link, _):
            with pytest.raises(ValueError, match="'upstream'"):
                link.latency(1, stream="both").__enter__()
            for number in (-1, float("inf"), float("nan")):
                with pytest.raises(ValueError, match="at least 0"):
                    link.timeout(number).__enter__()
            assert not link._toxics
        file = await sqlite()
        for no_server in (file, link):
            with pytest.raises(ServerError, match="no network|a network"):
                async with proxy(no_server):
                    pass
        await file.drop()

    go(work())


KEEPALIVES = {"keepalives_idle": 1, "keepalives_interval": 1,
              "keepalives_count": 1}
SLEEP = text("SELECT 1 FROM pg_sleep(60)")


async def at_work(db):
    async with db.administered() as sql:
        while not await sql("SELECT FROM pg_stat_activity WHERE datname = $1 "
                            "AND wait_event = 'PgSleep'",
                            db.asyncpg.database):
            pass


@WITH_A_CABLE
def test_keepalives_hear_of_a_cut_and_not_of_a_timeout():
    async def ended(fault):
        async with linked("psycopg", connect_args=KEEPALIVES) as (
                db, link, engine):
            request = asyncio.create_task(ask(engine, SLEEP))
            await at_work(db)
            with getattr(link, fault)():
                await asyncio.wait({request}, timeout=3.5)
                done = request.done()
            await server.terminate_backends(db)
            with pytest.raises(OperationalError):
                await request
            return done

    async def work():
        assert await asyncio.gather(ended("cut"), ended("timeout")) \
            == [True, False]

    go(work())


@WITH_A_CABLE
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_cut_has_held_comes_at_its_end(driver):
    async def work():
        async with linked(driver) as (db, link, engine):
            with link.cut():
                old = asyncio.create_task(ask(engine))
                new = asyncio.create_task(connect_anew(link, driver))
                await asyncio.wait({old, new}, timeout=0.3)
                assert not old.done() and not new.done()
            assert (await old, await new) == (1, 1)
            with pytest.raises(ValueError), link.cut():
                raise ValueError
            assert await ask(engine) == 1

    go(work())


def test_where_no_cable_can_be_pulled(monkeypatch):
    async def work():
        async with linked("asyncpg") as (db, link, engine):
            monkeypatch.setattr("sys.platform", "darwin")
            with pytest.raises(ServerError, match=r"take timeout\(\)"):
                link.cut()
            monkeypatch.undo()
            assert await ask(engine) == 1

    go(work())
