"""What the commands that look at a video have in common: lines, detectors, files to write, a bar of progress.

`count`, `audit` and `calibrate` take the same line in the same words, so that what was tried with one can be given to
the next; a wrong value ends the command at once, in one sentence, with status 2.
"""

import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.main import fail

if TYPE_CHECKING:
    from edge.models import Line

Item = TypeVar("Item")


class MountingOption(StrEnum):
    """How the camera hangs."""

    OVERHEAD = "overhead"
    OBLIQUE = "oblique"


class AnchorOption(StrEnum):
    """The point of a body that crosses."""

    FEET = "feet"
    CENTRE = "centre"
    HEAD = "head"


class DetectorOption(StrEnum):
    """What finds people in a frame."""

    AUTO = "auto"
    MOTION = "motion"
    ONNX = "onnx"
    YOLO = "yolo"


class SettleOption(StrEnum):
    """When a crossing counts."""

    IMMEDIATE = "immediate"
    ON_EXIT = "on_exit"


LineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        metavar="X1,Y1,X2,Y2",
        help="The line's two ends, in fractions of the frame (0,0 is the upper left); more points make a bent line. "
        "May be given again.",
        show_default=False,
    ),
]

InsideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--inside",
        metavar="X,Y",
        help="Any point on the inside of the line; one for each --line, in the same order.",
        show_default=False,
    ),
]

NameOption = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="NAME", help="A name for each --line, in the same order.", show_default=False),
]

MountingChoice = Annotated[
    MountingOption, typer.Option("--mounting", help="How the camera hangs: straight above, or looking along.")
]

AnchorChoice = Annotated[
    AnchorOption | None,
    typer.Option(
        "--anchor",
        help="The point of a body that has to cross. Default: feet if oblique, centre if overhead.",
        show_default=False,
    ),
]

SettleChoice = Annotated[
    SettleOption,
    typer.Option("--settle", help="Count each crossing, or let an in and an out of one person cancel (on_exit)."),
]

DetectorChoice = Annotated[
    DetectorOption,
    typer.Option(
        "--detector",
        help="What finds people. auto: the model where one is given and the camera looks obliquely, else motion.",
    ),
]

ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="PATH", help="The model of onnx or yolo.", show_default=False)
]


def parse_lines(
    ends: list[str],
    insides: list[str],
    names: list[str],
    anchor: AnchorOption | None,
    settle: SettleOption,
) -> "list[Line]":
    """The lines asked for; a wrong one ends the command."""
    from edge.models import Line

    if not ends:
        fail("give at least one --line x1,y1,x2,y2 with its --inside x,y")
    if len(ends) != len(insides):
        fail(f"{len(ends)} --line and {len(insides)} --inside were given; each line needs its own inside point")
    if names and len(names) != len(ends):
        fail(f"{len(names)} --name were given for {len(ends)} --line; name all of them or none")
    names = names or [f"line {number}" if len(ends) > 1 else "line" for number in range(1, len(ends) + 1)]
    for name in names:
        if names.count(name) > 1:
            fail(f"two lines are named '{name}'; give each its own --name")
    lines = []
    for end, point, name in zip(ends, insides, names, strict=True):
        first, *bends, last = _points(end, f"line '{name}': --line")
        inside = numbers(point, 2, f"line '{name}': --inside", "x,y")
        lines.append(
            Line(
                name,
                first,
                last,
                (inside[0], inside[1]),
                anchor=anchor.value if anchor else None,
                settle=settle.value,
                bends=tuple(bends),
            )
        )
    return lines


def _points(text: str, what: str) -> list[tuple[float, float]]:
    """Two points or more from a text such as 0.2,0.6,0.8,0.6; anything else ends the command."""
    more = text.count(",") >= 5 and text.count(",") % 2
    values = numbers(text, text.count(",") + 1 if more else 4, what, "x1,y1,x2,y2")
    return list(zip(values[::2], values[1::2], strict=True))


def numbers(text: str, due: int, what: str, shape: str) -> list[float]:
    """The numbers in a text such as 0.2,0.6; another number of them, or no numbers, end the command."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != due:
        fail(f"{what} is '{text}'; it has to be {due} numbers, {shape}, as fractions of the frame")
    return values


def check_model(detector: str, model: Path | None, mounting: str | None) -> None:
    """End the command where a model would be passed over without a word; say so where `auto` does not take it.

    Args:
        detector: as asked for.
        model: as asked for.
        mounting: None where it is still to be found out.
    """
    if model is None:
        return
    if detector == "motion":
        fail(f"--detector motion uses no model; leave out --model {model}, or name the detector that is to use it")
    if detector == "auto" and mounting == "overhead":
        typer.echo(
            f"doorline: {model} is not used: from straight above people are found best by motion. "
            "To use it all the same: --detector onnx (or yolo)",
            err=True,
        )


def check_outputs(*outputs: Path | None, source: Path) -> None:
    """End the command now if a file could not be written later, or would be written over what is read."""
    places = [out for out in outputs if out is not None]
    for path in places:
        parent = path.absolute().parent
        if path.is_dir():
            fail(f"{path} is a directory; give the name of a file to write")
        if not parent.is_dir():
            fail(f"{path} can't be written: there is no directory {parent}")
        if path.exists() and source.exists() and path.samefile(source):
            fail(f"{path} is what is to be counted; give another name to write to")
    if len({path.absolute() for path in places}) < len(places):
        fail(f"--json and --annotate both name {places[0]}; give each its own file")


def progress(items: Iterable[Item], total: int | None, title: str) -> Iterator[Item]:
    """The same items, with a bar on standard error when a person is looking."""
    if not sys.stderr.isatty():
        yield from items
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=escape(title))
