"""What the processes of the centre log: to stderr, so that stdout stays what was asked for, and without variables."""

import json
import threading
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from cli.main import app
from server import logs
from server.ingest.worker import IngestWorker
from server.jobs.process import JobsProcess

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
COMMANDS = {
    "broker": ("broker",),  # ends at once: no password is set
    "db": ("db", "status"),
    "db elsewhere": ("db", "status", "--dsn", NOWHERE),
    "demo": ("demo", "--forget"),
    "ingest": ("ingest",),
    "jobs": ("jobs",),
    "store": ("store", "list"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_traceback_goes_to_stderr_and_shows_no_variable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOORLINE_DSN", NOWHERE)
    monkeypatch.setattr("server.storage.pool.CONNECT_SECONDS", 0.2)
    for process in (IngestWorker, JobsProcess):
        monkeypatch.setattr(process, "run", _at_once)
    structlog.reset_defaults()
    try:
        CliRunner().invoke(app, list(COMMANDS[name]))
        capsys.readouterr()
        _stumble()
        said = capsys.readouterr()
    finally:
        logs.configure(json=True)
    assert said.out == ""
    assert "stumbled" in said.err
    assert "ValueError" in said.err
    assert "13800138000" not in said.err
    assert [json.loads(line)["level"] for line in said.err.splitlines()] == ["error"]


def _at_once(_process: object, _stop: threading.Event) -> None:
    """Configured as ever, and then nothing to do."""


def _stumble() -> None:
    phone = "138" + "00138000"
    try:
        int(phone, base=1)
    except ValueError:
        structlog.get_logger().exception("stumbled")
