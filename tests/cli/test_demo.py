"""The demo for real: it comes up, shows what it promises, counts, goes down without a trace, and comes up again."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
DAYS = 7
UP_WITHIN = 240.0


class RunningDemo:
    """One `doorline demo` in a process of its own, and what it has said."""

    def __init__(self, home: Path, log: Path, *more: str) -> None:
        self.log = log
        self.home = home
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "cli.main", "demo", "--home", str(home), "--port", "0", "--days", str(DAYS)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *more], stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env, cwd=ROOT
            )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until_up(self) -> str:
        """The address, once it is up."""

        def address() -> str | None:
            assert self.process.poll() is None, self.said()
            found = re.search(r"Doorline is up.*?(http://\S+?)/?\s.*clean-demo", self.said(), re.DOTALL)
            return found[1] if found else None

        return wait_until(address, UP_WITHIN, "the demo to be up")

    def password(self, username: str) -> str:
        found = re.search(rf"^\s*{username}\s+(\S+)", self.said(), re.MULTILINE)
        assert found, self.said()
        return found[1]

    def end(self) -> None:
        """Whatever became of the test, it is not left running."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


def processes_of(home: Path) -> dict[int, str]:
    """Every live process that has the demo's folder in its command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            environ = (entry / "environ").read_bytes().decode("utf-8", "replace")
            state = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and (str(home) in command or marker(home) in environ):
            found[int(entry.name)] = command
    return found


def marker(home: Path) -> str:
    """What every process of the demo inherits; the folder is unique to the test."""
    return f"DEMO_TEST_HOME={home}"


class Visitor:
    """Someone at the API, with cookies."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def sign_in(self, username: str, password: str) -> None:
        body = json.dumps({"username": username, "password": password}).encode()
        request = urllib.request.Request(
            f"{self._address}/api/v1/session", body, {"Content-Type": "application/json"}, method="POST"
        )
        with self._opener.open(request, timeout=30) as answer:
            assert answer.status in {200, 201}

    def get(self, path: str) -> Any:
        with self._opener.open(f"{self._address}{path}", timeout=60) as answer:
            return json.load(answer)


Start = Callable[..., RunningDemo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a demo in a folder; it is not left running."""
    started: list[RunningDemo] = []

    def one(home: Path, *more: str) -> RunningDemo:
        started.append(RunningDemo(home, tmp_path / f"said-{len(started)}.log", *more))
        return started[-1]

    yield one
    for demo in started:
        demo.end()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "demo"
    name, _, value = marker(folder).partition("=")
    monkeypatch.setenv(name, value)
    yield folder
    for pid in processes_of(folder):
        os.kill(pid, signal.SIGKILL)
    # Root's database may lie elsewhere, where nobody who clears away test folders would find it.
    forget = [sys.executable, "-m", "cli.main", "demo", "--home", str(folder), "--forget"]
    subprocess.run(forget, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for orphans in /proc, which this system has not")
def test_the_demo_comes_up_counts_and_leaves_no_orphan(home: Path, start: Start) -> None:
    demo = start(home)
    address = demo.wait_until_up()

    hq = Visitor(address)
    hq.sign_in("hq", demo.password("hq"))
    today = date.fromisoformat(hq.get("/api/v1/stores/S01/live")["day"])
    report = hq.get(
        f"/api/v1/kpi?kpi=entries,conversion,net_sales&group_by=store&from={today - timedelta(days=DAYS)}&to={today}"
    )
    assert len(report["rows"]) == 5
    for row in report["rows"]:
        assert row["values"]["entries"]["value"] > 500, row
        assert 0.1 < float(row["values"]["conversion"]["value"]) < 0.5, row

    manager = Visitor(address)
    manager.sign_in("manager", demo.password("manager"))
    before = manager.get("/api/v1/stores/S01/live")["values"]

    def crossed() -> bool:
        now = manager.get("/api/v1/stores/S01/live")["values"]
        return any(now[way]["value"] > before[way]["value"] for way in ("entries", "exits"))

    wait_until(crossed, 90, "someone to be counted at the first store")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        manager.get("/api/v1/stores/S02/live")

    again = start(home)
    assert again.process.wait(120) == 2
    assert "is running in" in again.said()

    assert demo.stop() == 0, demo.said()
    assert processes_of(home) == {}
    assert "Stopped." in demo.said()

    second = start(home)
    began = time.monotonic()
    address = second.wait_until_up()
    assert "5 stores with" not in second.said(), "it goes on with the data that is there"
    assert time.monotonic() - began < UP_WITHIN / 2
    assert second.password("manager") == demo.password("manager")
    assert manager_total(address, second) >= before["entries"]["value"]

    second.process.kill()
    second.process.wait(10)
    wait_until(lambda: not processes_of(home), 30, "everything to end after the demo was killed")


def manager_total(address: str, demo: RunningDemo) -> int:
    visitor = Visitor(address)
    visitor.sign_in("manager", demo.password("manager"))
    return int(visitor.get("/api/v1/stores/S01/live")["values"]["entries"]["value"])


def test_a_port_in_use_is_said_and_nothing_is_started(home: Path, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = start(home, "--port", str(taken.getsockname()[1]))
        assert demo.process.wait(120) == 2
    assert re.search(r"port \d+ can't be used .*make demo PORT=", demo.said())
    assert not (home / "postgres").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path, start: Start) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    demo = start(closed / "demo")
    assert demo.process.wait(120) == 2
    assert "can't write to" in demo.said()


def test_a_place_that_is_no_folder_is_said(tmp_path: Path, start: Start) -> None:
    (tmp_path / "file").write_text("in the way")
    demo = start(tmp_path / "file" / "demo")
    assert demo.process.wait(120) == 2
    assert "can't write to" in demo.said()


def test_a_film_that_is_none_is_said(tmp_path: Path, start: Start) -> None:
    (tmp_path / "door.mp4").write_text("not a film")
    demo = start(tmp_path / "demo", "--video", str(tmp_path / "door.mp4"))
    assert demo.process.wait(120) == 2
    assert "door.mp4" in demo.said()


def test_forgetting_what_is_not_there_is_no_error(tmp_path: Path, start: Start) -> None:
    demo = start(tmp_path / "demo", "--forget")
    assert demo.process.wait(120) == 0
    assert "There is no demo" in demo.said()
