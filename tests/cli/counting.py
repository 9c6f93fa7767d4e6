"""`doorline count` called as from a shell, and somebody who walks, for the files of its tests."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from cli.count import count

app = typer.Typer()
app.command()(count)

DOOR = ["--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.9"]
BOXES = ["--size", "200x200", "--fps", "10"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "120", "TERM": "dumb"})


def refused(*arguments: str | Path) -> str:
    """The one line on stderr of a refused command."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("doorline: ")
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def rows_of_a_walk(down: bool = True, start: int = 0) -> Iterator[str]:
    for i in range(40):
        y = 20 + 4 * i if down else 176 - 4 * i
        yield f"{start + i},-1,90,{y - 15},20,30,0.9"
