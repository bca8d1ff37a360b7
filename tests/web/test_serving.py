"""An application is served, and nothing of it is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from conftest import ROOT
from machine import wait
from sqlalchemy import make_url
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from labsupport.web import serve, serve_alone

NOWHERE = make_url("sqlite+aiosqlite://")


class Shop:
    """An application that notes what happens to it (list of str)."""

    def __init__(self, fails=""):
        self.seen, self.fails = [], fails
        self.open = asyncio.Event()
        self.app = Starlette(lifespan=self.lifespan, routes=[
            Route(f"/{page.__name__}", page)
            for page in (self.hello, self.bug, self.slow, self.stream)])

    @asynccontextmanager
    async def lifespan(self, app):
        if self.fails == "start":
            raise LookupError("no database")
        self.seen.append("started")
        yield
        if self.fails == "end":
            raise LookupError("no end")
        self.seen.append("ended")

    async def hello(self, request: Request):
        return PlainTextResponse("hello")

    async def bug(self, request: Request):
        raise ZeroDivisionError

    async def slow(self, request: Request):
        self.seen.append("slow")
        try:
            await self.open.wait()
            self.seen.append("slow has ended")
            return PlainTextResponse("slow")
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise

    async def stream(self, request: Request):
        async def body():
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.01)
            finally:
                self.seen.append("stream has ended")
        return StreamingResponse(body())


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_it_answers_and_its_lifespan_surrounds_the_requests():
    async def main():
        shop = Shop()
        async with serve(shop.app) as site:
            assert shop.seen == ["started"]
            answer = await site.get("/hello")
            assert (answer.text, answer.http_version) == ("hello", "HTTP/1.1")
            assert site.base_url.host == "127.0.0.1"
        assert shop.seen == ["started", "ended"]
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(trust_env=False) as other:
                await other.get(site.base_url)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_an_exception_is_a_500_and_can_be_looked_at(capfd):
    async def main():
        async with serve(Shop().app) as site:
            assert (await site.get("/bug")).status_code == 500
            assert (await site.get("/none")).status_code == 404
            assert [type(one) for one in site.errors] == [ZeroDivisionError]

    asyncio.run(main())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("when", ["start", "end"])
def test_what_the_lifespan_raises_arrives(when):
    async def main():
        with pytest.raises(LookupError):
            async with serve(Shop(fails=when).app):
                assert when == "end"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_cancelled_request_is_a_closed_tab():
    async def main():
        shop = Shop()
        async with serve(shop.app) as site:
            async with site.stream("GET", "/stream") as answer:
                await anext(answer.aiter_raw())
            await until(lambda: "stream has ended" in shop.seen)
            tab = asyncio.create_task(site.get("/stream"))
            await asyncio.sleep(0)
            tab.cancel()
            with pytest.raises(asyncio.CancelledError):
                await tab

    asyncio.run(main())


def test_a_request_under_way_is_waited_for():
    async def main():
        shop = Shop()
        async with serve(shop.app) as site:
            tab = asyncio.create_task(site.get("/slow"))
            await until(lambda: "slow" in shop.seen)
            asyncio.get_running_loop().call_later(0.3, shop.open.set)
        assert (await tab).text == "slow"
        return shop.seen

    assert asyncio.run(main()) == [
        "started", "slow", "slow has ended", "ended"]


def test_a_request_that_does_not_end_is_cancelled():
    async def main():
        shop = Shop()
        async with serve(shop.app, grace=1) as site:
            tab = asyncio.create_task(site.get("/slow"))
            await until(lambda: "slow" in shop.seen)
        await asyncio.gather(tab, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return shop.seen

    assert asyncio.run(main()) == ["started", "slow", "cancelled", "ended"]


def test_the_kernel_keeps_its_signals():
    async def main():
        before = [signal.getsignal(one)
                  for one in (signal.SIGINT, signal.SIGTERM)]
        async with serve(Shop().app) as site:
            await site.get("/hello")
            assert before == [signal.getsignal(one)
                              for one in (signal.SIGINT, signal.SIGTERM)]

    asyncio.run(main())


def alone(url):
    """An application that says its process, and when it has ended."""
    import asyncio
    import os
    from contextlib import asynccontextmanager
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(app):
        yield
        Path(url.database).write_text("ended")

    async def pid(request):
        return PlainTextResponse(str(os.getpid()))

    async def slow(request):
        Path(url.database).write_text("slow")
        await asyncio.sleep(0.5)
        return PlainTextResponse("slow")

    return Starlette(lifespan=lifespan,
                     routes=[Route("/pid", pid), Route("/slow", slow)])


def broken(url):
    raise LookupError("no such shop")


@pytest.fixture
def notes(tmp_path):
    """A file, as a URL of which it is the database."""
    return make_url("sqlite://").set(database=str(tmp_path / "notes"))


def written(notes):
    try:
        return open(notes.database).read()
    except FileNotFoundError:
        return ""


def test_sigterm_lets_a_request_end(notes):
    async def main():
        async with serve_alone(alone, notes) as (site, process):
            assert int((await site.get("/pid")).text) == process.pid
            tab = asyncio.create_task(site.get("/slow"))
            await until(lambda: written(notes) == "slow")
            process.terminate()
            assert (await tab).text == "slow"
            assert await process.wait() == -signal.SIGTERM
        assert written(notes) == "ended"

    asyncio.run(main())


def test_the_process_ends_with_the_block(notes):
    async def main():
        with pytest.raises(ZeroDivisionError):
            async with serve_alone(alone, notes) as (site, process):
                raise ZeroDivisionError
        assert process.returncode == -signal.SIGKILL

    asyncio.run(main())


def test_what_does_not_start_says_why(notes):
    async def main():
        with pytest.raises(RuntimeError, match="LookupError: no such shop"):
            async with serve_alone(broken, notes):
                pass

    asyncio.run(main())


def test_the_process_ends_with_a_kernel_that_is_killed(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(f"""
import asyncio, os, signal, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from sqlalchemy import make_url
from test_serving import alone
from labsupport.web import serve_alone

async def main():
    async with serve_alone(alone, make_url("sqlite:///x")) as (_, process):
        print(process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
""")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    pid = int(done.stdout)
    wait(lambda: not alive(pid), "the end of the application")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
