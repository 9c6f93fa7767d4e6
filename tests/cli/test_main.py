"""The command line as a whole: it lists everything, imports nothing it does not need, and says what is missing."""

import importlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]

#: Stands before our modules and hides what an install without some extra would not have.
_HIDING = """
import sys

class Hidden:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Hidden(%r))
from cli.main import run
run(%r)
"""
_SERVER_ONLY = ("fastapi", "psycopg", "psycopg_pool", "pydantic_settings", "uvicorn", "structlog", "amqtt",
                "cryptography", "pwdlib", "apscheduler", "jinja2", "phonenumbers", "pypinyin", "httpx")  # fmt: skip
_EDGE_ONLY = ("cv2", "lap", "numpy")


def doorline(*arguments: str, without: tuple[str, ...] = (), columns: int = 160) -> subprocess.CompletedProcess[str]:
    script = _HIDING % (without, list(arguments))
    env = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=120, cwd=ROOT
    )


def test_help_lists_every_command_with_one_line_about_it() -> None:
    shown = doorline("--help", without=(*_SERVER_ONLY, *_EDGE_ONLY))
    assert shown.returncode == 0, shown.stderr
    for name, entry in COMMANDS.items():
        assert any(name in line and entry.help in line for line in shown.stdout.splitlines()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_help_and_an_example(name: str) -> None:
    shown = doorline(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage: doorline " + name in shown.stdout
    if not COMMANDS[name].group:
        assert "Example" in shown.stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["count", "calibrate", "audit", "edge run", "edge check", "edge enrol"])
def test_help_breaks_its_lines_where_the_window_ends_and_nowhere_else(command: str, columns: int) -> None:
    shown = doorline(*command.split(), "--help", columns=columns)
    assert shown.returncode == 0, shown.stderr
    prose = [line.strip() for line in re.split(r"[╭+]", shown.stdout)[0].splitlines()]
    for line, following in pairwise(prose):
        if line and following and not line.endswith("\\"):
            assert len(line) + len(following.split()[0]) > columns - 4, f"{line!r}, then {following!r}"


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if entry.group])
def test_every_command_of_a_group_has_help_and_an_example(name: str) -> None:
    module, _, attribute = COMMANDS[name].target.partition(":")
    group = typer.main.get_group(getattr(importlib.import_module(module), attribute))
    assert group.commands
    for command in group.commands.values():
        told = f"{command.help}\n{command.epilog}"
        assert re.search(rf"Example: .*doorline {name} {command.name}\b", told), command.name


@pytest.mark.parametrize(
    "command", [("count",), ("audit",), ("calibrate",), ("edge",), ("edge", "run"), ("edge", "check")]
)
def test_a_box_without_the_server_runs_its_commands(command: tuple[str, ...]) -> None:
    shown = doorline(*command, "--help", without=_SERVER_ONLY)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    "command", [("web",), ("ingest",), ("jobs",), ("db",), ("store",), ("user",), ("sales",), ("webhooks",)]
)
def test_a_server_without_opencv_runs_its_commands(command: tuple[str, ...]) -> None:
    shown = doorline(*command, "--help", without=_EDGE_ONLY)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    ("command", "without", "extra"),
    [
        (("ingest",), _SERVER_ONLY, "doorline[server]"),
        (("demo",), _SERVER_ONLY, "doorline[edge,server]"),
        (("count", "film.mp4", "--line", "0,0.5,1,0.5", "--inside", "0.5,0.9"), _EDGE_ONLY, "doorline[edge]"),
    ],
)
def test_a_missing_extra_is_named(command: tuple[str, ...], without: tuple[str, ...], extra: str) -> None:
    shown = doorline(*command, without=without)
    assert shown.returncode == 2
    assert f'pip install "{extra}"' in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_misspelt_command_is_answered_with_a_suggestion() -> None:
    shown = doorline("cuont")
    assert shown.returncode == 2
    assert "count" in shown.stderr


def test_the_version_is_said() -> None:
    shown = doorline("--version")
    assert shown.returncode == 0
    assert shown.stdout.startswith("doorline")
