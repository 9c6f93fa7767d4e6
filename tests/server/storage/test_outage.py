"""The database goes away under a running web process: everybody is told so in time, with when to try again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from psycopg import conninfo

from server.access.api import COOKIE
from tests.fixtures.processes import central_settings, is_up, running
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until

#: Seconds that a request may take at the very most; no test waits for them unless something hangs.
HANGS = 60.0
#: API, pages, what programs look at, and more of them at once than the process has connections.
ASKED = ("/healthz", "/hq", "/stores/S01", "/api/v1/stores", "/api/v1/kpi?from=2026-11-01&to=2026-11-02", "/desk") * 5


class _NoBroker:
    port = 1


@pytest.fixture
def between(db_dsn: str) -> Iterator[Proxy]:
    """What stands between the process and its database."""
    told = conninfo.conninfo_to_dict(db_dsn)
    with Proxy(str(told["host"]), int(str(told["port"]))) as proxy:
        yield proxy


@pytest.fixture
def base(db_dsn: str, between: Proxy, tmp_path: Path) -> Iterator[str]:
    """Address of a web process that works."""
    dsn = conninfo.make_conninfo(db_dsn, host=between.host, port=between.port)
    env = central_settings(dsn, _NoBroker())  # type: ignore[arg-type]  # it is never dialled
    address = f"http://127.0.0.1:{env['DOORLINE_WEB_PORT']}"
    with running(env, tmp_path, "web"):
        wait_until(lambda: is_up(address), 60, "the web process")
        yield address


def test_every_request_is_told_to_try_again_whether_the_database_is_cut_off_or_silent(
    base: str, between: Proxy
) -> None:
    for go_away in (between.cut, between.stall):
        assert {answer.status_code for answer in _ask(base)} == {200, 303, 401}
        go_away()
        for answer in _ask(base):
            assert answer.status_code == 503, f"{answer.url}: {answer.text}"
            assert int(answer.headers["Retry-After"]) > 0
            if "/api/" in str(answer.url):
                assert answer.json()["error"]["code"] == "unavailable"
                assert answer.json()["error"]["remedy"] == f"try again in {answer.headers['Retry-After']} seconds"
        between.heal()
        wait_until(lambda: is_up(base), 60, "the web process to find its database again")


def _ask(base: str) -> list[httpx.Response]:
    """All at once, as somebody who says that they are signed in."""
    with (
        httpx.Client(base_url=base, timeout=HANGS, cookies={COOKIE: "x" * 43}) as client,
        ThreadPoolExecutor(len(ASKED)) as threads,
    ):
        return list(threads.map(client.get, ASKED))
