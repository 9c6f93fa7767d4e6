"""The commands of the centre, as a person types them: over a real database, and with a real socket."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.fixtures.ports import free_port
from tests.fixtures.processes import is_up, running
from tests.fixtures.wait import wait_until

SECRET = "c2l4dGVlbiBieXRlcyB0d2ljZSBvdmVyIG9uZSBrZXk="


@pytest.fixture
def environment(db_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings as the environment gives them; no .env file of a developer's is near."""
    monkeypatch.chdir(tmp_path)
    return {
        "DOORLINE_DSN": db_dsn,
        "DOORLINE_SECRET_KEY": SECRET,
        "DOORLINE_ARGON2_MEMORY_KIB": "64",
        "DOORLINE_ARGON2_TIME_COST": "1",
        "COLUMNS": "200",
        "TERM": "dumb",
    }


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment, input=stdin)


def test_a_chain_is_set_up_from_the_command_line(environment: dict[str, str], tmp_path: Path) -> None:
    added = run(environment, "store", "add", "S01", "--name", "静安店", "--hours", "10:00-22:00")
    assert (added.exit_code, added.stdout) == (0, "Added S01 静安店 (Asia/Shanghai, CNY).\n"), added.output
    assert "静安店" in run(environment, "store", "list").stdout
    camera = run(environment, "store", "add-camera", "S01", "S01-C1", "--line", "S01-L1")
    assert camera.exit_code == 0, camera.output
    box = run(environment, "device", "add-with-password", "door-1", "--store", "S01")
    assert (box.exit_code, len(box.stdout.strip())) == (0, 43), box.output
    user = run(
        environment,
        "user",
        "add",
        "wang",
        "--role",
        "manager",
        "--store",
        "S01",
        "--password-stdin",
        stdin="a long password\n",
    )
    assert user.stdout == "Added wang (manager, S01).\n", user.output
    key = run(environment, "user", "add-key", "till 1", "--store", "S01")
    assert key.stdout.startswith("dl_"), key.output

    export = tmp_path / "export.csv"
    export.write_bytes("小票号,交易时间,实收金额\n1,2026-11-20 10:00,5.00\n2,2026-11-20,7.00\n".encode("gb18030"))
    tried = run(environment, "sales", "import", str(export), "--store", "S01", "--dry-run")
    assert tried.exit_code == 1, tried.output
    assert "line 3, at: '2026-11-20' is no date and time" in tried.stderr
    assert "2 rows, 2 receipts (gb18030): 1 would be new, 0 known, 0 in conflict, 1 refused" in tried.stdout
    for expected in ("1 new, 0 known", "0 new, 1 known"):
        assert expected in run(environment, "sales", "import", str(export), "--store", "S01").stdout


def test_a_camera_is_added_whole_and_lines_can_follow(environment: dict[str, str]) -> None:
    assert run(environment, "store", "add", "S01", "--name", "x").exit_code == 0
    camera = ("store", "add-camera", "S01", "S01-C1", "--installed-at", "2026-11-01T09:00+08:00")
    failed = run(environment, *camera, "--line", "S01-L1", "--line", "not/a/line")
    assert failed.exit_code == 2, failed.output
    assert "line_id 'not/a/line'" in failed.stderr
    added = run(environment, *camera, "--line", "S01-L1")
    assert (added.exit_code, added.stdout) == (0, "Added camera S01-C1 with 1 line(s) to S01.\n"), added.output
    more = run(environment, "store", "add-line", "S01/S01-C1", "S01-L2", "S01-L3", "--kind", "street")
    assert (more.exit_code, more.stdout) == (0, "Added 2 line(s) to camera S01-C1 of S01.\n"), more.output
    with psycopg.connect(environment["DOORLINE_DSN"]) as conn:
        ((at,),) = conn.execute("SELECT installed_at FROM camera").fetchall()
        lines = conn.execute("SELECT line_id, kind FROM line ORDER BY line_id").fetchall()
    assert at == datetime(2026, 11, 1, 1, tzinfo=UTC)
    assert lines == [("S01-L1", "door"), ("S01-L2", "street"), ("S01-L3", "street")]


def test_what_is_wrong_is_one_clear_line_and_status_2(environment: dict[str, str], tmp_path: Path) -> None:
    cases = [
        (("store", "add", "S01", "--name", "x", "--timezone", "Mars"), "unknown timezone 'Mars'"),
        (("store", "add", "S01", "--name", "x", "--hours", "ten to six"), "--hours"),
        (("store", "add", "S01", "--name", "x", "--hours", "10:05-22:00"), "is not on a quarter hour"),
        (("store", "add-camera", "S01", "C1", "--installed-at", "2026-11-01"), "has no offset from UTC"),
        (("store", "add-camera", "S01", "C1", "--installed-at", "lately"), "is no time such as"),
        (("store", "add-line", "S01-C1", "L1"), "is not of the form STORE/CAMERA"),
        (("store", "add-line", "S01/C1", "L1", "--kind", "roof"), "is none of door, street, interior"),
        (("store", "add-line", "S99/C1", "L1"), "there is no store 'S99'"),
        (("device", "add-with-password", "door-1", "--store", "S99"), "there is no store 'S99'"),
        (("device", "add-with-password", "doorline-server", "--store", "S01"), "is kept for the server's own"),
        (("device", "add", "--store", "S01", "--name", "door-1"), f"no certificate authority in {tmp_path / 'pki'}"),
        (("user", "add", "x", "--role", "boss", "--password-stdin"), "there is no role 'boss'"),
        (("sales", "import", str(tmp_path / "none.csv"), "--store", "S01"), "can't read"),
        (("sales", "import", str(tmp_path), "--store", "S01", "--column", "x"), "is not OURS=THEIRS"),
    ]
    for arguments, words in cases:
        result = run(environment, *arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert words in result.stderr, (arguments, result.output)
        assert "Traceback" not in result.output


def test_wrong_settings_are_named_without_their_values(environment: dict[str, str]) -> None:
    wrong = run({**environment, "DOORLINE_POOL_SIZE": "hunter2"}, "store", "list")
    assert wrong.exit_code == 2
    assert "DOORLINE_POOL_SIZE" in wrong.stderr
    assert "hunter2" not in wrong.output
    missing = run({**environment, "DOORLINE_SECRET_KEY": ""}, "web", "--port", "0")
    assert missing.exit_code == 2
    assert "DOORLINE_SECRET_KEY" in missing.stderr


def test_a_port_in_use_is_a_clear_line(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(environment, "web", "--port", str(port))
    assert result.exit_code == 2
    assert f"port {port} on 127.0.0.1 is in use" in result.stderr


@pytest.mark.parametrize(("trusted", "seen"), [(None, "203.0.113.7"), ("10.1.0.0/24", "127.0.0.1"), ("", "127.0.0.1")])
def test_who_asks_is_who_a_trusted_proxy_says(
    environment: dict[str, str], tmp_path: Path, trusted: str | None, seen: str
) -> None:
    # What uvicorn would read by itself must not decide.
    settings = {**environment, "FORWARDED_ALLOW_IPS": "" if trusted is None else "*"}
    if trusted is not None:
        settings["DOORLINE_TRUSTED_PROXIES"] = trusted
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with running(settings, tmp_path, "web", "--port", str(port)):
        wait_until(lambda: is_up(address), 60)
        answer = httpx.post(
            f"{address}/api/v1/session",
            json={"username": "nobody", "password": "a wrong one"},
            headers={"X-Forwarded-For": "203.0.113.7"},
            timeout=20,
        )
        assert answer.status_code == 401
    with psycopg.connect(environment["DOORLINE_DSN"]) as conn:
        assert conn.execute("SELECT address FROM sign_in_failure").fetchall() == [(seen,)]


@pytest.mark.parametrize("trusted", ["*", "0.0.0.0/0", "10.0.0.1, proxy"])
def test_proxies_are_named_by_their_addresses(environment: dict[str, str], trusted: str) -> None:
    wrong = run({**environment, "DOORLINE_TRUSTED_PROXIES": trusted}, "web", "--port", "0")
    assert wrong.exit_code == 2
    assert "DOORLINE_TRUSTED_PROXIES" in wrong.stderr


def test_web_serves_pages_and_api_and_ends_in_good_order(
    environment: dict[str, str], repository_root: Path, tmp_path: Path
) -> None:
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "web", "--port", "0"],
        env={**os.environ, **environment, "PYTHONPATH": str(repository_root)},
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=tmp_path,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Doorline is at http://127.0.0.1:"), (tmp_path / "log").read_text()
        address = line.split()[-1]
        assert httpx.get(f"{address}/healthz", timeout=20).json() == {"status": "ok", "database": "ok"}
        page = httpx.get(f"{address}/sign-in", timeout=20)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        refused = httpx.get(f"{address}/api/v1/nothing", timeout=20)
        assert refused.json()["error"]["code"] == "not_found"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.communicate()
        log.close()
    assert '"path": "/healthz"' in (tmp_path / "log").read_text()
