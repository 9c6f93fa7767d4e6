"""What a person is told whose command finds no database, or one of another version: one line, and what to do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from server.storage import pool


@pytest.fixture(autouse=True)
def _no_settings_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.5)


COMMANDS = [
    ("device", "list"),
    ("gaps", "--store", "S01"),
    ("ingest", "dead", "list"),
    ("device", "config", "show", "x"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_database_without_our_tables(empty_dsn: str, words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, list(words), env={"DOORLINE_DSN": empty_dsn})
    assert said.exit_code == 2
    assert "the database is not of this version" in said.stderr
    assert "doorline db migrate" in said.stderr
    assert "Traceback" not in said.output


def test_a_database_that_is_not_there() -> None:
    said = CliRunner().invoke(app, ["device", "list"], env={"DOORLINE_DSN": "postgresql://x@127.0.0.1:1/x"})
    assert said.exit_code == 2
    assert "DOORLINE_DSN" in said.stderr
    assert "Traceback" not in said.output
