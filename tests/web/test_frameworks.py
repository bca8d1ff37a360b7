"""The same shop in three frameworks, on its bad days under load."""

import asyncio
import random
from contextlib import asynccontextmanager

import fastapi
import litestar
import litestar.exceptions
import pytest
import starlette.applications
from backends import backends, until
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from labsupport.databases import postgres
from labsupport.faults import terminate_backends
from labsupport.web import serve_alone

ORDERS = [
    "CREATE TABLE orders (name text)",
    # A commit takes its time, so an answer before it is found out.
    """CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql
       AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$""",
    """CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON orders
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
       EXECUTE FUNCTION slowly()"""]


def lifespan_of(url):
    @asynccontextmanager
    async def lifespan(app):
        app.state.engine = create_async_engine(
            url, pool_size=10, max_overflow=0, pool_pre_ping=True)
        app.state.Session = async_sessionmaker(app.state.engine)
        yield
        await app.state.engine.dispose()

    return lifespan


async def slept(app, seconds):
    """A unit that is run again when its connection is lost."""
    for attempt in range(1, 6):
        try:
            async with app.state.Session() as session:
                await session.execute(select(func.pg_sleep(seconds)))
                return "slept"
        except DBAPIError as error:
            if attempt == 5 or not error.connection_invalidated:
                raise
        await asyncio.sleep(random.uniform(0, .02 * 2 ** attempt))


async def store(session, name):
    await session.execute(
        text("INSERT INTO orders VALUES (:name)"), {"name": name})


def in_fastapi(url):
    app = fastapi.FastAPI(lifespan=lifespan_of(url))

    async def unit():
        async with app.state.Session.begin() as session:
            yield session

    @app.get("/sleep/{milliseconds}")
    async def sleep(milliseconds: int) -> str:
        return await slept(app, milliseconds / 1000)

    @app.post("/{name}/{given_up}", status_code=201)
    async def order(name: str, given_up: int,
                    session=fastapi.Depends(unit, scope="function")):
        await store(session, name)
        if given_up:
            raise fastapi.HTTPException(409)

    return app


def in_starlette(url):
    async def sleep(request):
        return JSONResponse(await slept(
            request.app, request.path_params["milliseconds"] / 1000))

    async def order(request):
        async with request.app.state.Session.begin() as session:
            await store(session, request.path_params["name"])
            if request.path_params["given_up"]:
                raise HTTPException(409)
        return JSONResponse(None, 201)

    return starlette.applications.Starlette(
        lifespan=lifespan_of(url),
        routes=[Route("/sleep/{milliseconds:int}", sleep),
                Route("/{name}/{given_up:int}", order, methods=["POST"])])


def in_litestar(url):
    async def unit():
        async with app.state.Session.begin() as session:
            yield session

    @litestar.get("/sleep/{milliseconds:int}",
                  media_type=litestar.MediaType.JSON)
    async def sleep(milliseconds: int) -> str:
        return await slept(app, milliseconds / 1000)

    @litestar.post("/{name:str}/{given_up:int}")
    async def order(name: str, given_up: int, session: AsyncSession) -> None:
        await store(session, name)
        if given_up:
            raise litestar.exceptions.HTTPException(status_code=409)

    app = litestar.Litestar([sleep, order], lifespan=[lifespan_of(url)],
                            dependencies={"session": unit},
                            logging_config=None)
    return app


async def abandoned(database):
    """How many connections have ended without a word of their client."""
    async with database.administered() as run:
        (found,), = await run(
            "SELECT sessions_abandoned FROM pg_stat_database "
            "WHERE datname = $1", database.asyncpg.database)
    return found


async def reads_survive_a_kill(site, database):
    """500, 50 at once, and half-way all connections are cut, also at work."""
    room, half, codes = asyncio.Semaphore(50), asyncio.Event(), []

    async def visit(milliseconds):
        codes.append((await site.get(f"/sleep/{milliseconds}")).status_code)
        if len(codes) == 250:
            half.set()

    async def wait_and_visit():
        async with room:
            await visit(5)

    async def a_long_one_works():
        return await backends(
            database, "query LIKE '%pg_sleep%' AND state = 'active'"
            " AND now() - query_start > interval '100 ms'") > 0

    visits = [asyncio.create_task(wait_and_visit()) for _ in range(499)]
    await half.wait()
    visits.append(asyncio.create_task(visit(1_000)))
    await until(a_long_one_works)
    killed = await terminate_backends(database)
    await asyncio.gather(*visits)
    assert killed > 0
    assert codes == [200] * 500


async def answers_are_true(site, database):
    """Who is told 201 has a row, at once; who is told 409 has none."""
    async with database.connected(database.psycopg) as run:
        one_at_a_time = asyncio.Lock()

        async def post(number):
            given_up = number % 5 == 0
            answer = await site.post(f"/order-{number}/{given_up:d}")
            async with one_at_a_time:
                (there,), = await run("SELECT count(*) FROM orders "
                                      "WHERE name = $1", f"order-{number}")
            assert (answer.status_code, there) == (
                (409, 0) if given_up else (201, 1))

        await asyncio.gather(*map(post, range(50)))
        (stored,), = await run("SELECT count(*) FROM orders")
        assert stored == 40


async def a_drain_answers(site, process, database):
    """What is under way at SIGTERM is answered, and nothing is left."""
    last = [asyncio.create_task(site.get("/sleep/3000")) for _ in range(10)]

    async def all_sleep():
        return await backends(database, "query LIKE '%pg_sleep%'"
                              " AND state = 'active'") == 10

    await until(all_sleep)
    process.terminate()
    assert [one.status_code for one in await asyncio.gather(*last)] \
        == [200] * 10
    await process.wait()

    async def nobody():
        return await backends(database) == 0

    await until(nobody)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("make", [in_fastapi, in_starlette, in_litestar])
def test_no_request_fails(make, driver):
    async def main():
        database = await postgres()
        try:
            async with database.connected(database.psycopg) as run:
                for statement in ORDERS:
                    await run(statement)
            async with serve_alone(make, getattr(database, driver)) as (
                    site, process):
                await reads_survive_a_kill(site, database)
                await answers_are_true(site, database)
                await a_drain_answers(site, process, database)
            assert await abandoned(database) == 0  # they were closed
        finally:
            await database.drop(force=True)

    asyncio.run(main())
