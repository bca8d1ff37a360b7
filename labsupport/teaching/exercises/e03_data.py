"""Data that nobody has seen, for the checks of ``03_async_drivers``."""

import datetime
import os
import time
from contextlib import contextmanager
from types import SimpleNamespace

from sqlalchemy import make_url

from ...environment import DRIVERS
from ...measuring.driver_endings import Ending, Endings, Row


def moment_somewhere(random):
    """A moment with a zone, and the same in UTC without one."""
    zone = datetime.timezone(datetime.timedelta(
        minutes=15 * random.choice([-29, -13, -7, 9, 23, 37])))
    moment = datetime.datetime(
        2026, random.randint(1, 12), random.randint(1, 28),
        random.randint(0, 23), random.randint(0, 59), tzinfo=zone)
    return moment, moment.replace(tzinfo=None) - zone.utcoffset(None)


@contextmanager
def clock_of_another_zone():
    """This process is elsewhere: on a machine in UTC, local time is UTC."""
    if not hasattr(time, "tzset"):  # Windows
        yield
        return
    usual = os.environ.get("TZ")
    os.environ["TZ"] = "LAB-11:11"
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if usual is not None:
            os.environ["TZ"] = usual
        time.tzset()


def matrix(random):
    """Invented Endings of three scenarios, and who is right in all.

    Of the two others one is wrong in the first alone, one in the last.
    """
    names = [f"bug {number}" for number in random.sample(range(100, 1000), 3)]
    right = sorted(random.choice([
        ("asyncpg", "psycopg", "aiomysql"),
        ("asyncpg", "aiosqlite", "asyncmy"),
        ("psycopg", "aiosqlite", "aiomysql")]), key=DRIVERS.index)
    first, last = random.sample([driver for driver in DRIVERS
                                 if driver not in right], 2)
    faults = {(names[0], first): random.choice(["wrong", "hangs", "none"]),
              (names[2], last): "raises"}
    endings = Endings(SimpleNamespace(**{
        driver: make_url("postgresql://nowhere") for driver in DRIVERS}))
    for name in names:
        rows = {driver: Ending(faults.get((name, driver), "right"),
                               f"{random.randint(1, 9)} rows")
                for driver in DRIVERS}
        endings.note(Row(name, rows))
    return endings, right
