"""A server's log has one form, whoever speaks: ourselves, or a library."""

import json
import logging

import pytest
import structlog

from server import logs


def test_what_a_library_says_is_a_line_like_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    before = structlog.get_config()
    try:
        logs.configure(json=True)
        logs.configure(json=True)
        structlog.get_logger().info("ours", store="S01")
        logging.getLogger("psycopg.pool").info("small talk")
        logging.getLogger("psycopg.pool").warning("error connecting in %r", "doorline")
        try:
            int("broken")
        except ValueError:
            logging.getLogger("elsewhere").exception("it failed")
    finally:
        structlog.configure(**before)
    ours, theirs, failed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["store"]) == ("ours", "S01")
    assert (theirs["event"], theirs["level"]) == ("error connecting in 'doorline'", "warning")
    assert theirs["logger"] == "psycopg.pool"
    assert "ValueError: invalid literal" in failed["exception"]
    assert failed["level"] == "error"
