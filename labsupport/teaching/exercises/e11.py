"""Checks of ``11_testing``."""

from contextlib import asynccontextmanager
from inspect import isasyncgenfunction

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...databases import postgres
from ...schema import Artist
from . import Misconception, NotYet, exercise, shop

JOINED = ('                connection,\n                join_transaction_mode='
          '"create_savepoint") as session:')
BEGUN = "        transaction = await connection.begin()\n"
BACK = "        await transaction.rollback()"
ON_ENGINE = ("async def session_of_a_test(engine):\n"
             "    async with AsyncSession(engine) as session:\n"
             "        yield session\n")


@exercise(
    "E11.1",
    hints=(
        "Who commits, decides. So the transaction has to belong to you, and "
        "not to the session.",
        "A session can be bound to a connection that has begun already.",
        'AsyncSession(connection, join_transaction_mode="create_savepoint")',
    ),
    misconceptions=(
        Misconception("", ON_ENGINE + "        await session.rollback()",
                      "a second connection sees"),
        Misconception(
            "", ON_ENGINE + "        await session.execute(text(\n"
            "            \"DELETE FROM artist WHERE name = 'of the test'\"))\n"
            "        await session.commit()", "a second connection sees"),
        Misconception(JOINED, "                connection) as session:",
                      "after a rollback"),
        Misconception('"create_savepoint"', '"rollback_only"',
                      "after a rollback"),
        Misconception('"create_savepoint"', '"control_fully"',
                      "a second connection sees"),
        Misconception(BEGUN, "        transaction = connection\n",
                      "a second connection sees"),
        Misconception(BACK, "        await transaction.commit()",
                      "rows are there at the end"),
    ),
    also_right=(
        "async def session_of_a_test(engine):\n"
        "    async with engine.connect() as connection:\n"
        "        await connection.begin()\n"
        "        from sqlalchemy.ext.asyncio import async_sessionmaker\n"
        "        maker = async_sessionmaker(\n"
        "            connection, join_transaction_mode='create_savepoint',\n"
        "            expire_on_commit=False)\n"
        "        async with maker() as session:\n"
        "            yield session\n"
        "        await connection.rollback()",
        "async def session_of_a_test(engine):\n"
        "    async with engine.connect() as connection:\n"
        "        async with connection.begin() as transaction:\n"
        "            async with AsyncSession(\n"
        "                    bind=connection,\n"
        "                    join_transaction_mode='create_savepoint'\n"
        "            ) as session:\n"
        "                yield session\n"
        "            await transaction.rollback()",
        # What nobody has ended, a connection that is closed rolls back.
        "@asynccontextmanager\n"
        "async def session_of_a_test(engine):\n"
        "    async with engine.connect() as connection:\n"
        "        await connection.begin()\n"
        "        async with AsyncSession(\n"
        "                connection,\n"
        "                join_transaction_mode='create_savepoint'\n"
        "        ) as session:\n"
        "            yield session",
    ),
)
async def no_row_is_left(answer):
    async with shop(postgres, "asyncpg") as engine:
        before = await _artists(engine)
        for _ in range(2):
            async with _fixture(answer, engine) as session:
                await _code_under_test(session, engine, before)
            if (after := await _artists(engine)) != before:
                raise NotYet(f"{after - before} rows are there at the end.")
    return "the code has committed, and no row is left."


async def _code_under_test(session, engine, before):
    session.add(Artist(id=10_001, name="of the test"))
    await session.commit()
    if await session.scalar(select(Artist.name).where(
            Artist.id == 10_001)) is None:
        raise NotYet("what the code has committed, its session has to see.")
    if await _artists(engine) != before:
        raise NotYet("a second connection sees the row: it was committed.")
    try:
        session.add(Artist(id=10_001, name="twice"))
        await session.commit()
        raise NotYet("two rows with one id: is this the session of a "
                     "database?")
    except IntegrityError:
        await session.rollback()
    try:
        session.add(Artist(id=10_002, name="of the test"))
        await session.commit()
        found = await session.scalar(select(func.count()).where(
            Artist.id.in_([10_001, 10_002])))
    except InvalidRequestError as error:
        raise NotYet("after a rollback of the code the session cannot go "
                     f"on: {error}") from error
    if found != 2:
        raise NotYet(f"after a rollback of the code {found} of its 2 "
                     "committed rows are there.")
    if await _artists(engine) != before:
        raise NotYet("after a rollback a second connection sees the row: the "
                     "transaction around the test has ended.")


@asynccontextmanager
async def _fixture(answer, given):
    """What an answer yields for ``given``: it is written as a fixture."""
    if isasyncgenfunction(answer):
        answer = asynccontextmanager(answer)
    block = answer(given)
    if not hasattr(block, "__aenter__"):
        await block  # the stub
        raise NotYet("yield it, as a fixture does.")
    async with block as found:
        yield found


async def _artists(engine):
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count(Artist.id)))


@exercise(
    "E11.2",
    hints=(
        "Who sends the application its start-up?",
        "A context manager of asgi-lifespan, around the client.",
        "async with LifespanManager(app) as managed: "
        "ASGITransport(managed.app)",
    ),
    misconceptions=(
        Misconception("    async with LifespanManager(app) as managed:\n"
                      "        transport = ASGITransport(managed.app)",
                      "    if True:\n        transport = ASGITransport(app)",
                      "no attribute 'engine'"),
        Misconception("ASGITransport(managed.app)", "ASGITransport(app)",
                      "managed.app"),
        Misconception(
            "", "@asynccontextmanager\nasync def client_of_a_test(app):\n"
            "    managed = await LifespanManager(app).__aenter__()\n"
            "    async with AsyncClient(\n"
            "            transport=ASGITransport(managed.app),\n"
            "            base_url='http://test') as client:\n"
            "        yield client", "has not ended"),
        Misconception(
            "", "@asynccontextmanager\nasync def client_of_a_test(app):\n"
            "    async with LifespanManager(app) as managed:\n"
            "        transport = ASGITransport(managed.app)\n"
            "    async with AsyncClient(transport=transport,\n"
            "                           base_url='http://test') as client:\n"
            "        yield client", "has ended before"),
        Misconception(
            "", "async def client_of_a_test(app):\n"
            "    async with LifespanManager(app) as managed:\n"
            "        yield AsyncClient(transport=ASGITransport(managed.app),\n"
            "                          base_url='http://test')",
            "still open"),
    ),
    also_right=(
        "@asynccontextmanager\nasync def client_of_a_test(app):\n"
        "    async with LifespanManager(app) as managed, AsyncClient(\n"
        "            transport=ASGITransport(app=managed.app),\n"
        "            base_url='http://anywhere') as client:\n"
        "        yield client",
        "async def client_of_a_test(app):\n"
        "    async with LifespanManager(app, startup_timeout=10) as managed:\n"
        "        client = AsyncClient(\n"
        "            transport=ASGITransport(managed.app),\n"
        "            base_url='https://test')\n"
        "        yield client\n"
        "        await client.aclose()",
    ),
)
async def the_lifespan_is_run(answer):
    async with shop() as engine:
        for _ in range(2):
            ended = []
            async with _fixture(
                    answer, _application(engine, ended)) as client:
                if ended:
                    raise NotYet("the lifespan has ended before the first "
                                 "request: the client belongs inside.")
                for _ in range(2):
                    reply = await client.get("/artists")
                    if reply.status_code != 200:
                        raise NotYet(f"the answer is {reply.status_code}.")
            if not client.is_closed:
                raise NotYet("the client is still open after the block.")
            if not ended:
                raise NotYet("the lifespan has not ended after the block.")
    return "started, asked, and shut down, twice."


def _application(engine, ended):
    @asynccontextmanager
    async def lifespan(app):
        yield {"engine": engine}
        ended.append(True)

    async def artists(request):
        try:
            return JSONResponse(await _artists(request.state.engine))
        except AttributeError as error:
            raise NotYet(
                f"{error}: the lifespan puts it there. Has it run, and does "
                "the transport get managed.app, which hands it on?") from None

    return Starlette(lifespan=lifespan, routes=[Route("/artists", artists)])
