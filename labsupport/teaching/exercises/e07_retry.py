"""E07.3: a unit that the server refuses is run again, and its mail once."""

from random import Random

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...databases import postgres
from ...schema import Album
from . import Misconception, NotYet, exercise, shop

ATTEMPTS = 5
SERIALIZATION, DEADLOCK, CANCELLED = "40001", "40P01", "57014"
FAILED = "25P02"  # the transaction is aborted, and nothing else is taken
# The server's own error with that code, where a unit asks for it.
REFUSE = (
    "CREATE FUNCTION refuse(code text) RETURNS int LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = code; END $$",
    "CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM refuse('40001'); END $$",
    "CREATE TABLE refused_at_commit (id int)",
    "CREATE CONSTRAINT TRIGGER refusing AFTER INSERT ON refused_at_commit"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    " EXECUTE FUNCTION refuse_row()")
AT_COMMIT = "at commit"

BLOCK = ("            async with Session.begin() as session:\n"
         "                receipt = await order(session)\n")
CODE = '            sqlstate = getattr(error.orig, "sqlstate", None)\n'
ASKED = 'sqlstate not in {"40001", "40P01"} or '


class Orders:
    """A unit that is refused as often as ``refusals`` (codes) says."""

    def __init__(self, engine, album, refusals):
        self.engine, self.album = engine, album
        self.refusals = list(refusals)
        self.transactions = []  # the server's number for each attempt's
        self.mails = []  # what was sent, and whether it was stored then

    async def order(self, session):
        self.transactions.append(
            await session.scalar(select(func.txid_current())))
        album = await session.get(Album, self.album)
        album.stock -= 1
        await session.flush()
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal == AT_COMMIT:
            await session.execute(
                text("INSERT INTO refused_at_commit VALUES (1)"))
        elif refusal:
            await session.scalar(select(func.refuse(refusal)))
        return f"order {self.transactions[-1]}"

    async def mail(self, receipt):
        self.mails.append((receipt, await self.stock()))

    async def stock(self):
        """What another session sees (int)."""
        async with AsyncSession(self.engine) as session:
            return await session.scalar(
                select(Album.stock).where(Album.id == self.album))


async def _placed(answer, engine, *refusals):
    """Run the answer on a unit; returns its Orders, the stock sold, error."""
    async with AsyncSession(engine) as session:
        albums = (await session.scalars(select(Album.id))).all()
    orders = Orders(engine, Random().choice(albums), refusals)
    before, raised = await orders.stock(), None
    try:
        await answer(async_sessionmaker(engine), orders.order, orders.mail)
    except SQLAlchemyError as error:
        raised = error
    code = getattr(getattr(raised, "orig", None), "sqlstate", None)
    if code == FAILED or len(set(orders.transactions)) \
            < len(orders.transactions):
        raise NotYet("it runs the unit again in the transaction that has "
                     "failed: begin a new one for each attempt.")
    return orders, before - await orders.stock(), raised


@exercise(
    "E07.3",
    hints=(
        "What has to be inside the try: the unit alone, or its commit, too?",
        "DBAPIError is raised on each driver; what tells a deadlock from "
        "another error is error.orig.sqlstate.",
        "try: async with Session.begin() as session: … and after it, outside "
        "of the loop, the mail.",
    ),
    misconceptions=(
        Misconception(
            "async def", "from sqlalchemy.exc import OperationalError as "
            "DBAPIError\n\n\nasync def", "on asyncpg"),
        Misconception(', "40P01"', "", "after a deadlock"),
        Misconception('"40001", ', "", "after a serialization failure"),
        Misconception(ASKED, "", "57014"),
        Misconception(
            BLOCK, BLOCK + "                await mail(receipt)\n",
            "before the commit"),
        Misconception(
            "            if " + ASKED + "attempt == 5:\n"
            "                raise",
            "            if sqlstate not in {'40001', '40P01'}:\n"
            "                raise\n"
            "            receipt = None",
            "has to reach the caller"),
        Misconception("attempt == 5", "attempt == 3", "3 of the five"),
        Misconception("    await mail(receipt)", "    return receipt",
                      "no mail"),
        Misconception(
            "", "async def place_order(Session, order, mail):\n"
            "    async with Session.begin() as session:\n"
            "        for attempt in range(1, 6):\n"
            "            try:\n"
            "                async with session.begin_nested():\n"
            "                    receipt = await order(session)\n"
            "                break\n"
            "            except DBAPIError as error:\n"
            "                if error.orig.sqlstate not in ('40001', '40P01')"
            " or attempt == 5:\n"
            "                    raise\n"
            "    await mail(receipt)", "in the transaction that has failed"),
        Misconception(
            "", "async def place_order(Session, order, mail):\n"
            "    async with Session() as session:\n"
            "        for attempt in range(1, 6):\n"
            "            try:\n"
            "                receipt = await order(session)\n"
            "                break\n"
            "            except DBAPIError as error:\n"
            "                await session.rollback()\n"
            "                if error.orig.sqlstate not in ('40001', '40P01')"
            " or attempt == 5:\n"
            "                    raise\n"
            "        await session.commit()\n"
            "    await mail(receipt)", "by the commit"),
        Misconception(
            "", "async def place_order(Session, order, mail):\n"
            "    async with Session() as session:\n"
            "        for attempt in range(1, 6):\n"
            "            try:\n"
            "                receipt = await order(session)\n"
            "                await session.commit()\n"
            "                break\n"
            "            except DBAPIError as error:\n"
            "                if error.orig.sqlstate not in ('40001', '40P01')"
            " or attempt == 5:\n"
            "                    raise\n"
            "    await mail(receipt)", "begin a new one"),
    ),
    also_right=(
        "async def place_order(Session, order, mail):\n"
        "    async with Session() as session:\n"
        "        for attempt in range(1, 6):\n"
        "            try:\n"
        "                receipt = await order(session)\n"
        "                await session.commit()\n"
        "            except DBAPIError as error:\n"
        "                await session.rollback()\n"
        "                if error.orig.sqlstate not in ('40001', '40P01')"
        " or attempt == 5:\n"
        "                    raise\n"
        "            else:\n"
        "                return await mail(receipt)",
        "async def place_order(Session, order, mail, left=4):\n"
        "    try:\n"
        "        async with Session() as session, session.begin():\n"
        "            receipt = await order(session)\n"
        "    except Exception as error:\n"
        "        again = str(getattr(getattr(error, 'orig', None),\n"
        "                            'sqlstate', '')).startswith('40')\n"
        "        if not (again and left):\n"
        "            raise\n"
        "    else:\n"
        "        return await mail(receipt)\n"
        "    await place_order(Session, order, mail, left - 1)",
    ),
)
async def again_by_sqlstate(answer):
    for driver in ("psycopg", "asyncpg"):
        async with shop(postgres, driver) as engine:
            async with engine.begin() as connection:
                for statement in REFUSE:
                    await connection.exec_driver_sql(statement)
            await _refused(answer, engine, driver)
    return "run again when that helps, at most five times, and one mail."


async def _refused(answer, engine, driver):
    for code, what in ((SERIALIZATION, "a serialization failure"),
                       (DEADLOCK, "a deadlock"),
                       (AT_COMMIT, "a serialization failure by the commit")):
        orders, sold, raised = await _placed(answer, engine, code, code)
        if raised:
            _let_through(raised)
            raise NotYet(
                f"on {driver}, after {what} ({type(raised).__name__}, "
                f"sqlstate {raised.orig.sqlstate}), the unit is not run "
                "again until it is stored.")
        if sold != 1:
            raise NotYet(f"after {what}, {sold} albums are sold: commit the "
                         "attempt that works, and no other.")
        if not orders.mails:
            raise NotYet("the order is stored, and no mail is sent.")
        if orders.mails[0][1] != await orders.stock():
            raise NotYet("the mail goes out before the commit, and what was "
                         "mailed may never be stored.")
        if [sent for sent, _ in orders.mails] \
                != [f"order {orders.transactions[-1]}"]:
            raise NotYet("send one mail, with what the attempt that was "
                         "stored has returned.")
    orders, sold, raised = await _placed(
        answer, engine, *[SERIALIZATION] * ATTEMPTS)
    if len(orders.transactions) != ATTEMPTS:
        raise NotYet(f"it makes {len(orders.transactions)} of the five "
                     "attempts.")
    if not raised or orders.mails:
        raise NotYet("after the fifth attempt the error has to reach the "
                     "caller, and no mail is sent.")
    orders, sold, raised = await _placed(answer, engine, CANCELLED)
    if len(orders.transactions) != 1 or not raised:
        raise NotYet(f"an error with the sqlstate {CANCELLED} (the query was "
                     "cancelled) has to reach the caller at once.")


def _let_through(raised):
    """What is no refusal of the server's is the answer's own error."""
    if not isinstance(raised, DBAPIError) \
            or raised.orig.sqlstate not in (SERIALIZATION, DEADLOCK):
        raise raised
