"""Pages and API under load on one process, beside the same framework answering an empty page in the same run.

- A made-up chain of some stores and weeks; `doorline web` in a process of its own, a manager and HQ signed in.
- Each page is first asked by a few clients as fast as it answers: requests a second at saturation.
- Then it is asked at a fixed rate, a quarter of that, on a timetable: a request that has to wait for the one before it
  is late from the moment it was due. In turns of a second with it, FastAPI and uvicorn answer an empty page at the very
  same rate from another process; the figure is p95 as a multiple of the empty page's.
- Beside it stands what an answer costs the processor, in the web process and in the database, as a multiple of the
  empty page's: on a machine that does other things at the time, that ratio holds where p95 does not.
- First paint of the manager's, HQ's and the desk's page in a Chromium that has never been there (`first_paint`).
- Last, hundreds of live pages (server-sent events) are held open on that one process: its memory for each, what its
  processor does meanwhile, and that each of them hears.

Run `python -m bench.bench_web` from the repository's root (a few minutes), or with `--only paint` for one part of it.
"""

import argparse
import asyncio
import base64
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.cookies import SimpleCookie

import httpx
from playwright.sync_api import sync_playwright

from bench.asking import p95
from bench.central import Central, Meter, Program, Spent, central, processor_of, resident_mb
from bench.first_paint import first_paint
from cli.bench.generating import Plan, generate
from server.access.models import Scope
from server.services import make_services
from tests.fixtures.chromium import find_chromium
from tests.fixtures.ports import free_port
from tests.fixtures.processes import ROOT, command, environment, parsed
from tests.fixtures.wait import wait_until

PASSWORD = "a long enough password"
SYSTEM = Scope.system("bench")
#: p95 of a page may be so many times that of an empty one, and of the API.
PAGE_GOAL, API_GOAL = 20.0, 10.0
#: Seconds of first paint with nothing cached, at most.
PAINT_GOAL = 1.0
#: Answers before and while processor time is counted.
_WARM, _COUNTED = 10, 60
#: Browsers started for each page.
_BROWSERS = 5
PARTS = ("load", "paint", "live")
#: Of what is reached at saturation, how much is asked for while p95 is taken.
SHARE = 0.25
CLIENTS = 4


@dataclass(frozen=True)
class Asked:
    """Something to be asked for: as whom, and what its p95 may be (times the empty page's)."""

    name: str
    path: str
    cookie: str
    goal: float


class Wire:
    """One connection that is kept open, and asks without a library's own cost in the figure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, cookie: str) -> int:
        """The status of an answer, read to its end."""
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._ends
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nCookie: {cookie}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if "transfer-encoding: chunked" in head:
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        elif "content-length: " in head:
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


async def saturated(port: int, asked: Asked, seconds: float) -> float:
    """Answers a second when a few clients ask without a pause."""
    until = time.perf_counter() + seconds
    answers = 0

    async def client() -> None:
        nonlocal answers
        wire = Wire(port)
        while time.perf_counter() < until:
            status = await wire.ask(asked.path, asked.cookie)
            assert status == 200, (asked, status)
            answers += 1
        wire.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers / seconds


async def at_rate(wires: Sequence[Wire], asked: Asked, rate: float, seconds: float) -> list[float]:
    """Seconds from the moment each request was due to the end of its answer."""
    free: asyncio.Queue[Wire] = asyncio.Queue()
    for wire in wires:
        free.put_nowait(wire)
    taken: list[float] = []

    async def one(due: float) -> None:
        wire = await free.get()
        try:
            assert await wire.ask(asked.path, asked.cookie) == 200
        finally:
            free.put_nowait(wire)
        taken.append(time.perf_counter() - due)

    began = time.perf_counter()
    running = []
    for place in range(max(1, math.ceil(rate * seconds))):
        due = began + place / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.append(asyncio.create_task(one(due)))
    await asyncio.gather(*running)
    return taken


async def side_by_side(ports: tuple[int, int], asked: Asked, seconds: float) -> tuple[float, float, float, float]:
    """Answers a second at saturation, the rate asked for, and p95 (s) of it and of the empty page at that rate."""
    port, empty_port = ports
    empty = Asked("empty", "/", asked.cookie, 1)
    most = await saturated(port, asked, seconds / 4)
    rate = most * SHARE
    wires, empty_wires = [Wire(port) for _ in range(16)], [Wire(empty_port) for _ in range(16)]
    times: list[float] = []
    empty_times: list[float] = []
    for _ in range(round(seconds)):
        times += await at_rate(wires, asked, rate, 1)
        empty_times += await at_rate(empty_wires, empty, rate, 1)
    for wire in (*wires, *empty_wires):
        wire.close()
    return most, rate, p95(times), p95(empty_times)


async def costs(asked: Asked, port: int, watching: Callable[[], AbstractContextManager[Callable[[], Spent]]]) -> float:
    """Seconds of processor time that an answer takes, one asked for after the other."""
    wire = Wire(port)
    for _ in range(_WARM):
        assert await wire.ask(asked.path, asked.cookie) == 200
    with watching() as spent:
        for _ in range(_COUNTED):
            assert await wire.ask(asked.path, asked.cookie) == 200
        seconds = spent().processor / _COUNTED
    wire.close()
    return seconds


async def live_pages(port: int, pid: int, cookie: str, stores: Sequence[str], pages: int, seconds: float) -> None:
    """Hold live pages open and tell what they cost."""
    before = resident_mb(pid)
    readers: list[asyncio.StreamReader] = []
    writers: list[asyncio.StreamWriter] = []
    for place in range(pages):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = f"/stores/{stores[place % len(stores)]}/live"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        readers.append(reader)
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
    views = [0] * pages

    async def hear(place: int) -> None:
        while block := await readers[place].read(1 << 16):
            views[place] += block.count(b"event: view")

    hearing = [asyncio.create_task(hear(place)) for place in range(pages)]
    while min(views) == 0:
        await asyncio.sleep(0.1)
    busy, began, heard = processor_of(pid), time.perf_counter(), sum(views)
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    print(
        f"{pages} live pages of {len(stores)} stores: {1000 * (resident_mb(pid) - before) / pages:.0f} kB a page"
        f" ({before:.0f} to {resident_mb(pid):.0f} MB), {(processor_of(pid) - busy) / took:.2f} of a processor,"
        f" each hears {(sum(views) - heard) / pages / took:.1f} views a second",
        flush=True,
    )
    for task, writer in zip(hearing, writers, strict=True):
        task.cancel()
        writer.close()


def signed_in(base: str, username: str) -> str:
    """Sign in; the cookies as a browser would send them."""
    answer = httpx.post(f"{base}/api/v1/session", json={"username": username, "password": PASSWORD})
    answer.raise_for_status()
    cookies: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        cookies.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())


def chain(centre: Central, env: dict[str, str], stores: int, days: int) -> list[str]:
    """A chain, and two who may see it; the ids of its stores."""
    today = datetime.now(UTC).date()
    generate(centre.dsn, Plan(stores, days, today, days, 8, 1))
    with make_services(parsed(env)) as services:
        ids = sorted(store.store_id for store in services.stores.stores(SYSTEM))
        services.access.create_user(SYSTEM, "manager", PASSWORD, "manager", "manager", [ids[0]], "zh")
        services.access.create_user(SYSTEM, "hq", PASSWORD, "hq", "hq", locale="zh")
        services.access.create_user(SYSTEM, "desk", PASSWORD, "desk", "desk", [ids[0]], "zh")
    return ids


def empty_server(port: int) -> None:
    """The framework, answering an empty page."""
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    def empty() -> str:
        return ""

    print("ready", flush=True)
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=20, help="of each page at its rate")
    parser.add_argument("--pages", type=int, default=500, help="live pages held open")
    parser.add_argument("--only", choices=PARTS, action="append", help="some parts; all when left out")
    parser.add_argument("--empty", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.empty is not None:
        empty_server(given.empty)
        return
    with ExitStack() as stack:
        centre = stack.enter_context(central())
        port, empty_port = free_port(), free_port()
        env = {
            "DOORLINE_DSN": centre.dsn,
            "DOORLINE_SECRET_KEY": base64.b64encode(bytes(range(32))).decode(),
            "DOORLINE_WEB_PORT": str(port),
        }
        ids = chain(centre, env, given.stores, given.days)
        web = Program(command("web"), environment(env), centre.folder / "web", ready="Doorline is at")
        stack.enter_context(web)
        words = [sys.executable, "-m", "bench.bench_web", "--empty", str(empty_port)]
        empty = Program(words, environment({"PYTHONPATH": str(ROOT)}), centre.folder / "empty", ready="ready")
        stack.enter_context(empty)
        base = f"http://127.0.0.1:{port}"
        for address in (f"{base}/healthz", f"http://127.0.0.1:{empty_port}/"):
            wait_until(lambda address=address: _answers(address), 60, address)  # type: ignore[misc]
        parts = given.only or PARTS
        manager, hq, desk = (signed_in(base, name) for name in ("manager", "hq", "desk"))
        if "load" in parts:
            meter = Meter(centre.pid)
            nothing = asyncio.run(costs(Asked("", "/", "", 1), empty_port, partial(meter.watching, empty.pid)))
            for asked in _asked(ids[0], manager, hq):
                cost = asyncio.run(costs(asked, port, partial(meter.watching, web.pid)))
                most, rate, page, beside = asyncio.run(side_by_side((port, empty_port), asked, given.seconds))
                print(
                    f"{asked.name:28} {most:7.1f} requests/s at most; at {rate:5.1f} a second"
                    f" p95 {1000 * page:6.1f} ms, {page / beside:5.1f} times an empty page's {1000 * beside:.1f} ms"
                    f" (goal under {asked.goal:g}) {'met' if page / beside < asked.goal else 'MISSED'};"
                    f" {1000 * cost:.1f} ms of processor, {cost / nothing:.1f} times an empty page's"
                    f" {1000 * nothing:.2f} ms",
                    flush=True,
                )
        if "paint" in parts:
            paint(base, {f"/stores/{ids[0]}": manager, "/hq": hq, "/desk": desk})
        if "live" in parts:
            asyncio.run(live_pages(port, web.pid, hq, ids[:20], given.pages, given.seconds))


def _asked(store_id: str, manager: str, hq: str) -> list[Asked]:
    first = (datetime.now(UTC) - timedelta(days=7)).date()
    week = f"from={first}&to={first + timedelta(days=6)}"
    return [
        Asked("manager's page", f"/stores/{store_id}", manager, PAGE_GOAL),
        Asked("HQ's page", "/hq", hq, PAGE_GOAL),
        Asked(
            "API: a store's week by day",
            f"/api/v1/kpi?kpi=visitors,conversion&store={store_id}&{week}&group_by=day",
            manager,
            API_GOAL,
        ),
        Asked("API: a store", f"/api/v1/stores/{store_id}", manager, API_GOAL),
        Asked("API: newest receipts", f"/api/v1/receipts?store={store_id}&limit=50", manager, API_GOAL),
    ]


def paint(base: str, pages: Mapping[str, str]) -> None:
    """First paint of pages, each with whose cookie it is opened."""
    chromium = find_chromium()
    if chromium is None:
        print("first paint: no Chromium here; install one (apt-get install chromium)")
        return
    with sync_playwright() as playwright:
        for path, cookie in pages.items():
            found = first_paint(playwright, chromium, base + path, cookie, _BROWSERS)
            print(
                f"first paint of {path:16} {found.seconds:.2f} s with nothing cached ({found.fastest:.2f} at best),"
                f" the page itself after {found.answered:.2f} s; {found.bytes / 1000:.0f} kB in {found.files + 1} files"
                f" (goal under {PAINT_GOAL:g} s) {'met' if found.seconds < PAINT_GOAL else 'MISSED'}",
                flush=True,
            )


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
