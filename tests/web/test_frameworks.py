"""The same shop in three frameworks, on its bad days under load."""

import asyncio
import random
from contextlib import asynccontextmanager

import fastapi
import litestar
import pytest
import starlette.applications
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.responses import JSONResponse
from starlette.routing import Route

from labsupport.databases import postgres
from labsupport.faults import terminate_backends
from labsupport.web import serve_alone


def lifespan_of(url):
    @asynccontextmanager
    async def lifespan(app):
        app.state.engine = create_async_engine(
            url, pool_size=10, max_overflow=0, pool_pre_ping=True)
        yield
        await app.state.engine.dispose()

    return lifespan


async def slept(app, seconds):
    """A unit that is run again when its connection is lost."""
    for attempt in range(1, 6):
        try:
            async with AsyncSession(app.state.engine) as session:
                await session.execute(select(func.pg_sleep(seconds)))
                return "slept"
        except DBAPIError as error:
            if attempt == 5 or not error.connection_invalidated:
                raise
        await asyncio.sleep(random.uniform(0, .02 * 2 ** attempt))


def in_fastapi(url):
    app = fastapi.FastAPI(lifespan=lifespan_of(url))

    @app.get("/sleep/{milliseconds}")
    async def sleep(milliseconds: int) -> str:
        return await slept(app, milliseconds / 1000)

    return app


def in_starlette(url):
    async def sleep(request):
        return JSONResponse(await slept(
            request.app, request.path_params["milliseconds"] / 1000))

    return starlette.applications.Starlette(
        lifespan=lifespan_of(url),
        routes=[Route("/sleep/{milliseconds:int}", sleep)])


def in_litestar(url):
    @litestar.get("/sleep/{milliseconds:int}",
                  media_type=litestar.MediaType.JSON)
    async def sleep(milliseconds: int) -> str:
        return await slept(app, milliseconds / 1000)

    app = litestar.Litestar([sleep], lifespan=[lifespan_of(url)],
                            logging_config=None)
    return app


async def backends(database, where="true"):
    async with database.administered() as run:
        (found,), = await run(
            "SELECT count(*) FROM pg_stat_activity "
            f"WHERE datname = $1 AND {where}", database.asyncpg.database)
    return found


async def until(condition):
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(.02)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("make", [in_fastapi, in_starlette, in_litestar])
def test_no_request_fails(make, driver):
    """500 with 50 at once; backends are killed; SIGTERM under load."""
    async def main():
        database = await postgres()
        try:
            async with serve_alone(make, getattr(database, driver)) as (
                    site, process):
                room, half = asyncio.Semaphore(50), asyncio.Event()
                codes = []

                async def visit(milliseconds):
                    async with room:
                        answer = await site.get(f"/sleep/{milliseconds}")
                    codes.append(answer.status_code)
                    if len(codes) == 250:
                        half.set()

                visits = [asyncio.create_task(visit(5)) for _ in range(500)]
                await half.wait()
                killed = await terminate_backends(database)
                await asyncio.gather(*visits)
                assert killed > 0
                assert codes == [200] * 500

                last = [asyncio.create_task(visit(1_000)) for _ in range(10)]

                async def all_sleep():
                    return await backends(
                        database, "query LIKE '%pg_sleep%'"
                        " AND state = 'active'") == 10

                await until(all_sleep)
                process.terminate()
                await asyncio.gather(*last)
                await process.wait()
            assert codes == [200] * 510

            async def nobody():
                return await backends(database) == 0

            await until(nobody)
        finally:
            await database.drop(force=True)

    asyncio.run(main())
