"""`doorline calibrate`: watch a camera for a while, then say where its line should lie and how large people are in it.

Drawing a line is the one thing in setting up a box that is guesswork, and a bad one costs counts for years. So it is
proposed from where people really walked, drawn on a picture to be looked at, and refused while too few were seen. What
is meant for a program, the configuration, goes to standard output, what is meant for a person to standard error.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.main import fail
from cli.options import (
    AnchorOption,
    DetectorChoice,
    DetectorOption,
    ModelOption,
    MountingOption,
    check_model,
    check_outputs,
    numbers,
    progress,
)

if TYPE_CHECKING:
    from edge.calibration.proposal import Calibration
    from edge.calibration.watching import DetectWith, Watcher
    from edge.cameras.sources import VideoSource
    from edge.cameras.view import View
    from edge.models import Anchor, Frame, Point
    from edge.settings import CameraSettings

_INTERRUPTED = 130
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as edge.toml takes it: not to be refused after an hour
#: How long a live camera may show nothing before it is given up (seconds).
_PATIENCE_S = 30.0
_LIVE_MINUTES = 10.0


def calibrate(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="A recording, or several of one camera; a camera's number or address. Left out with --write: the "
            "camera of the configuration.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="N",
            help="Watch so long. Default: a recording to its end, a camera for ten minutes.",
            show_default=False,
        ),
    ] = None,
    mounting: Annotated[
        MountingOption | None,
        typer.Option("--mounting", help="How the camera hangs. Default: as people look in it.", show_default=False),
    ] = None,
    inside: Annotated[
        str | None,
        typer.Option(
            "--inside",
            metavar="X,Y",
            help="A point within the shop, in fractions of the frame. Ways alone can't say which side is inside; it "
            "also helps where more people walk past the door than through it.",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        AnchorOption | None,
        typer.Option(
            "--anchor",
            help="The point of a body that has to cross. Default: feet if oblique, centre if overhead.",
            show_default=False,
        ),
    ] = None,
    detector: DetectorChoice = DetectorOption.AUTO,
    model: ModelOption = None,
    least: Annotated[
        int, typer.Option("--least", metavar="N", min=2, help="Propose nothing from fewer people than this.")
    ] = 5,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="OUT.png",
            help="Draw what was found. Nobody can be recognised in it.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="EDGE.TOML", help="Set the camera's line and size in this file.", show_default=False
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", metavar="ID", help="With --write: which of its cameras.", show_default=False),
    ] = None,
    line_id: Annotated[
        str | None,
        typer.Option("--name", metavar="ID", help="The line's id. Default: the camera's only one.", show_default=False),
    ] = None,
) -> None:
    """Propose the line and the size of people from where they walk.

    Prints the sections for edge.toml, or sets them there with --write, keeping all remarks.

    Look at the --picture before you trust it. Exit status 1 if too few people were seen.

    [bold]Examples[/bold]

    doorline calibrate monday.mp4 tuesday.mp4 --picture seen.png

    doorline calibrate --write /etc/doorline/edge.toml --camera S01-C1 \\
      --minutes 30 --inside 0.5,0.9
    """
    from edge.calibration.proposal import calibrate as propose
    from edge.calibration.watching import Watcher
    from edge.calibration.writing import fragment
    from edge.camera import CameraError
    from edge.counting.layout import check_line
    from edge.detectors import DetectorError
    from edge.geometry import LineError
    from edge.partfile import UnwritableError
    from edge.tomledit import EditError

    settings = _settings(write, camera)
    sources = source or ([str(settings.source)] if settings else [])
    if not sources:
        fail("name a recording or a camera; or give --write with a configuration whose camera is to be watched")
    if minutes is not None and not 0 < minutes <= 24 * 60:
        fail(f"--minutes is {minutes:g}; it has to be above 0 and at most 1440")
    within = _inside(inside)
    name = _line_id(settings) if line_id is None else line_id
    if not _ID.fullmatch(name):
        fail(
            f"--name is '{name}'; an id has 1 to 64 letters, digits, '.', '_' or '-' and begins with a letter or digit"
        )
    if picture is not None and picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        fail(f"--picture is {picture}; give a name that ends in .png or .jpg")
    check_outputs(picture, source=Path(sources[0]))
    chosen = mounting.value if mounting else settings.mounting if settings else None
    if settings is not None and chosen != settings.mounting:
        fail(
            f'--mounting is {chosen}, but camera {settings.id} of {write} is set to "{settings.mounting}"; '
            "set mounting there first, for the line has to fit how the camera counts"
        )
    check_model(detector.value, model, chosen)
    crosses = anchor.value if anchor else _anchor(settings, name)
    try:
        watcher = Watcher(
            mounting=chosen,
            detect_with=_detect_with(settings, detector, model),
            anchor=crosses,
            zones=[zone.zone() for zone in settings.zone] if settings else (),
        )
        for each in sources:
            _watch(watcher, each, minutes, settings.view if settings else None)
        result = propose(watcher.watched(), inside=within, anchor=crosses, line_id=name, least=least)
        if result.line is not None:
            check_line(result.line, result.watched.aspect)
        if picture is not None:
            _draw(picture, result, name if settings else Path(sources[0]).stem)
        _tell(result, least, picture)
        if result.line is None:
            raise typer.Exit(1)
        if write is not None and settings is not None:
            _write(write, settings.id, result)
            typer.echo(f"{write}: camera {settings.id} is set.", err=True)
        else:
            typer.echo(fragment(result), nl=False)
    except (CameraError, DetectorError, LineError, UnwritableError) as error:
        fail(str(error))
    except EditError as error:
        fail(f"{write}: {error}")
    except KeyboardInterrupt:
        typer.echo("doorline: stopped; nothing was written", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _settings(write: Path | None, camera: str | None) -> "CameraSettings | None":
    """The camera that is to be set; whatever is wrong with the file ends the command before an hour of watching."""
    if write is None:
        if camera is not None:
            fail("--camera goes with --write")
        return None
    from edge.config import load
    from edge.settings import ConfigError

    try:
        cameras = load(write).camera
    except ConfigError as error:
        fail(str(error))
    ids = ", ".join(each.id for each in cameras)
    if camera is None and len(cameras) > 1:
        fail(f"{write} has several cameras; choose one with --camera: {ids}")
    found = next((each for each in cameras if camera in (None, each.id)), None)
    if found is None:
        fail(f"{write} has no camera '{camera}'; it has {ids}")
    if not os.access(write, os.W_OK) or not os.access(write.resolve().parent, os.W_OK):
        fail(f"{write} can't be written; run this as a user who may")
    return found


def _line_id(settings: "CameraSettings | None") -> str:
    if settings is None or not settings.line:
        return "line"
    if len(settings.line) > 1:
        fail(
            f"camera {settings.id} has several lines; choose one with --name: {', '.join(x.id for x in settings.line)}"
        )
    return settings.line[0].id


def _anchor(settings: "CameraSettings | None", name: str) -> "Anchor | None":
    """The point that the line of this name counts by so far, if one is set."""
    lines = settings.line if settings else ()
    return next((line.anchor for line in lines if line.id == name), None)


def _detect_with(settings: "CameraSettings | None", detector: DetectorOption, model: Path | None) -> "DetectWith":
    """What looks: the camera's own detector with all that is set of it, where the options name no other."""
    import msgspec

    from edge.calibration.watching import as_counted
    from edge.detectors import make_detector

    if settings is None:
        return lambda mounting: make_detector(detector.value, mounting=mounting, model=model)
    if detector is not DetectorOption.AUTO:
        settings = msgspec.structs.replace(settings, detector=detector.value)
    if model is not None:
        settings = msgspec.structs.replace(settings, model=str(model))
    return as_counted(settings)


def _inside(text: str | None) -> "Point | None":
    if text is None:
        return None
    x, y = numbers(text, 2, "--inside", "x,y")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        fail(f"--inside is '{text}', outside the picture; it has to be fractions of the frame, from 0 to 1")
    return (x, y)


def _watch(watcher: "Watcher", source: str, minutes: float | None, view: "View | None") -> None:
    """Show one source to the watcher."""
    from edge.camera import open_source, redact
    from edge.cameras.sources import CameraError

    with open_source(source, view=view) as opened:
        live = opened.size == (0, 0)
        endless = opened.frame_count is None and source.startswith("scene:")
        limit = minutes * 60 if minutes else _LIVE_MINUTES * 60 if live or endless else None
        due = opened.frame_count if limit is None else round(limit * opened.fps)
        title = f"{Path(source).name if not live else redact(source)}"
        began = False
        for frame in progress(_frames(opened, limit, live), due, title):
            if not began:
                watcher.begin(frame.aspect)
                began = True
            watcher.take(frame)
        watcher.end()
        if not began:
            raise CameraError(opened.message or f"{redact(source)} gave no picture in {_PATIENCE_S:g} s")


def _frames(source: "VideoSource", limit_s: float | None, live: bool) -> "Iterator[Frame]":
    """Its frames until the time is over, or it ends, or a live camera shows nothing for long."""
    first: float | None = None
    while True:
        frame = source.read(_PATIENCE_S if live else None)
        if frame is None:
            if live or source.ended:
                return
            continue
        first = frame.time_s if first is None else first
        if limit_s is not None and frame.time_s - first >= limit_s:
            return
        yield frame


def _draw(path: Path, result: "Calibration", title: str) -> None:
    import cv2

    from edge.calibration.picture import draw
    from edge.partfile import PartFile, UnwritableError

    with PartFile(path) as part:
        if not cv2.imwrite(str(part), draw(result, title)):
            raise UnwritableError(path, OSError(0, "the picture could not be written"))


def _write(path: Path, camera_id: str, result: "Calibration") -> None:
    """Put the changed configuration in the place of the old one, with its owner and rights, once it is known good."""
    from edge.calibration.writing import updated
    from edge.config import parse
    from edge.partfile import UnwritableError, replace
    from edge.settings import ConfigError
    from edge.tomledit import EditError

    text = updated(path.read_text(encoding="utf-8"), camera_id, result)
    try:
        parse(text)
    except ConfigError as error:
        raise EditError(f"it would not be valid any more: {error}") from error
    try:
        replace(path, text.encode())
    except OSError as error:
        raise UnwritableError(path, error) from error


def _tell(result: "Calibration", least: int, picture: Path | None) -> None:
    """What was found and how sure it is, for a person."""
    from edge.calibration.picture import INSIDE_WORDS, SURENESS_WORDS

    watched = result.watched

    def say(text: str) -> None:
        typer.echo(text, err=True)

    say(f"watched   {watched.seconds:.0f} s, {len(watched.walks)} people walked about")
    say(f"mounting  {watched.mounting}" + (", by the look of people; --mounting if not" if watched.guessed else ""))
    if result.evidence is None:
        say(
            f"line      not enough people seen for one: {len(watched.walks)} walked about, and no line was passed by "
            f"{least} of them; let it watch longer"
        )
    else:
        evidence, interval = result.evidence, result.clean
        low, high = interval or (0.0, 1.0)
        say(
            f"line      {SURENESS_WORDS[result.sureness]}: {evidence.passed} people came clear of it on both sides, "
            f"{evidence.doubtful} came to it and did not (clean: {100 * low:.0f} to {100 * high:.0f}%)"
        )
        say(f"          it counts {result.counts['in']} in and {result.counts['out']} out of what was seen")
        check = "" if result.inside_from == "told" else "; check it, or say --inside X,Y"
        say(f"inside    {INSIDE_WORDS[result.inside_from]}{check}")
    if result.size is None:
        say(f"size      not enough people seen whole and alone: fewer than {least}")
    else:
        (y1, s1), (y2, s2) = result.size.adult
        what = "across" if watched.mounting == "overhead" else "high"
        say(
            f"size      an adult is {s1:.2f} of the picture {what} at y = {y1:.2f}, {s2:.2f} at y = {y2:.2f} "
            f"(from {result.size.people} people, usually within {100 * result.size.spread:.0f}%)"
        )
    if picture is not None:
        say(f"picture   {picture}: look at it before you trust the line")
