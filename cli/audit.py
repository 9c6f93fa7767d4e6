"""`doorline audit`: compare a count with what a person saw, and show each mistake.

"95% accurate" is said of every counter sold. Here it is said with the interval that so many crossings allow, with the
frame of each miss, invention and wrong direction, and with a clip of each to look at; and where only totals were
counted by hand, it is said that they hide what cancels.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.audited import Audited, as_json, show
from cli.layout import CameraOption, ConfigOption, Layout, ZoneOption, config_alone, from_config, from_options
from cli.main import fail
from cli.options import (
    AnchorChoice,
    DetectorChoice,
    DetectorOption,
    InsideOption,
    LineOption,
    ModelOption,
    MountingOption,
    NameOption,
    SettleChoice,
    SettleOption,
    check_outputs,
    progress,
)

if TYPE_CHECKING:
    from edge.auditing.clips import Seen
    from edge.auditing.matching import Mistake
    from edge.auditing.truth import Truth
    from edge.models import Crossing

_INTERRUPTED = 130


def audit(
    context: typer.Context,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The recording that was counted by hand.")],
    truth: Annotated[
        str,
        typer.Argument(
            metavar="TRUTH",
            help="The hand count: a CSV of time, line, direction (1:23,door,in; a frame's number instead of a time is "
            "written 2075f), a JSON with crossings by frame, or totals such as in=12,out=9.",
        ),
    ],
    line: LineOption = None,
    inside: InsideOption = None,
    name: NameOption = None,
    zone: ZoneOption = None,
    config: ConfigOption = None,
    camera: CameraOption = None,
    mounting: Annotated[
        MountingOption | None,
        typer.Option(
            "--mounting",
            help="How the camera hangs. Default: as the hand count says, else oblique.",
            show_default=False,
        ),
    ] = None,
    anchor: AnchorChoice = None,
    settle: SettleChoice = SettleOption.IMMEDIATE,
    detector: DetectorChoice = DetectorOption.AUTO,
    model: ModelOption = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            "--tolerance",
            metavar="N",
            help="How far a note may be off, in seconds (1.5) or frames (12f). Default: 2 seconds, or what the hand "
            "count says of each crossing.",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(
            "--clips", metavar="DIR", help="Cut each mistake out as a short video, drawn over.", show_default=False
        ),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write all of it to this file.", show_default=False)
    ] = None,
    least: Annotated[
        float | None,
        typer.Option(
            "--least",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="End with status 1 if the accuracy of all together is below this, such as 0.95.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare a count with what a person saw: each miss by its frame.

    Lines come from --line, from a box's --config, or from the hand count itself if it says where they lie.

    [bold]Examples[/bold]

    doorline audit door.mp4 door.csv --clips mistakes \\
      --line 0.2,0.6,0.8,0.6 --inside 0.5,0.9

    doorline audit saturday.mp4 in=212,out=198 \\
      --config /etc/doorline/edge.toml --camera S01-C1
    """
    from edge.auditing.truth import TruthError, read_truth
    from edge.camera import CameraError, open_source
    from edge.detectors import DetectorError
    from edge.geometry import LineError
    from edge.partfile import PartFile, UnwritableError
    from edge.pictures.annotate import AnnotateError

    check_outputs(json_out, source=Path(video))
    if clips is not None and clips.exists() and not clips.is_dir():
        fail(f"{clips} is a file; --clips takes a directory")
    try:
        with open_source(video) as source:
            if source.size == (0, 0):
                fail(f"{video} is a live camera; an audit needs a recording that was counted by hand")
            fps = source.fps
        known = read_truth(truth, video=video, fps=fps, tolerance=_tolerance(tolerance, fps))
        if config is not None:
            config_alone(context)
            layout = from_config(config, camera)
        else:
            how = mounting.value if mounting else known.mounting or "oblique"
            if line or zone:
                given = (line or [], inside or [], name or [])
                layout = from_options(given, zone or [], anchor, settle, how, detector.value, model)
            elif known.lines:
                layout = Layout(list(known.lines), [], how, detector.value, model)
            else:
                fail("say where the line lies: --line with --inside, or --config; this hand count does not")
        known = _named(known, layout.counted)
        counted, frames, seen = _count(video, layout, keep=clips is not None)
        audited = _compare(video, known, counted, frames, fps)
        if json_out is not None:
            with PartFile(json_out) as part:
                part.write_text(as_json(audited), encoding="utf-8")
        show(audited)
        if clips is not None:
            _cut(video, clips, audited, layout, seen)
    except (AnnotateError, CameraError, DetectorError, LineError, TruthError, UnwritableError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or video}: {error.strerror or error}")
    except KeyboardInterrupt:
        typer.echo("doorline: stopped before the end", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if least is not None and (audited.pooled or 0.0) < least:
        typer.echo(f"doorline: {100 * (audited.pooled or 0.0):.1f}% is below --least {100 * least:g}%", err=True)
        raise typer.Exit(1)


def _tolerance(text: str | None, fps: float) -> int:
    """In frames."""
    given = "2" if text is None else text.strip().lower()
    try:
        value = float(given.rstrip("fs"))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        fail(f"--tolerance is '{text}'; it has to be seconds such as 1.5, or frames such as 12f")
    return round(value) if given.endswith("f") else round(value * fps)


def _named(truth: "Truth", counted: list[str]) -> "Truth":
    """The same with every crossing under a line's name; a name that nothing counts ends the command."""
    if "" in truth.names:
        if len(counted) != 1:
            fail(f"this hand count names no line, and there are several: {', '.join(counted)}; name one in each row")
        only = counted[0]
        crossings = None
        if truth.crossings is not None:
            crossings = tuple(replace(each, line_id=each.line_id or only) for each in truth.crossings)
        totals = {(name or only, direction): total for (name, direction), total in truth.totals.items()}
        truth = replace(truth, crossings=crossings, totals=totals)
    for name in truth.names:
        if name not in counted and name not in {each.line_id for each in truth.lines}:
            fail(f"this hand count speaks of line '{name}', which is not counted; counted are: {', '.join(counted)}")
    left = [name for name in counted if name not in truth.names]
    if left:
        typer.echo(f"doorline: nothing is known of {', '.join(left)}; left out", err=True)
    return truth


def _count(video: str, layout: Layout, *, keep: bool) -> "tuple[list[Crossing], int, dict[int, Seen]]":
    """Crossings and frames; with `keep` also what was followed in each frame."""
    from edge.auditing.clips import Seen
    from edge.camera import open_source
    from edge.pipeline import Pipeline

    found: list[Crossing] = []
    seen: dict[int, Seen] = {}
    frames = 0
    with open_source(video, view=layout.view) as source:
        aspect = source.size[0] / source.size[1]
        layout.check(aspect)
        pipeline = Pipeline(layout.finder(), layout.follower(aspect))
        for frame in progress(source, source.frame_count, Path(video).name):
            step = pipeline.step(frame)
            found += step.crossings
            frames = frame.index + 1
            if keep and (step.tracks or step.crossings):
                seen[frame.index] = Seen(tuple(step.tracks), tuple(step.crossings))
        if layout.view.target_fps:  # the last ones may have been left out
            frames += max(0, math.ceil(source.fps / layout.view.target_fps) - 1)
        found += pipeline.finish()
    return found, min(frames, source.frame_count or frames), seen


def _compare(video: str, truth: "Truth", counted: "list[Crossing]", frames: int, fps: float) -> Audited:
    from edge.auditing.matching import TotalScore
    from edge.auditing.matching import audit as compare

    if truth.crossings is not None:
        beyond = [each for each in truth.crossings if each.frame >= frames]
        if beyond:
            fail(
                f"the hand count notes a crossing at frame {beyond[0].frame}, but {video} has {frames}: another video?"
            )
        return Audited(video, frames, fps, compare(truth.crossings, counted, truth.names), {})
    scores = {
        (line, direction): TotalScore(
            total, sum(each.line_id == line and each.direction == direction for each in counted)
        )
        for (line, direction), total in truth.totals.items()
    }
    return Audited(video, frames, fps, None, scores)


def _cut(video: str, folder: Path, audited: Audited, layout: Layout, seen: "dict[int, Seen]") -> None:
    from edge.auditing.clips import cut_out
    from edge.camera import open_source

    mistakes: tuple[Mistake, ...] = audited.crossings.mistakes if audited.crossings is not None else ()
    if audited.crossings is None:
        typer.echo("doorline: no clips: totals don't say which crossing was wrong", err=True)
    elif mistakes:
        with open_source(video, view=replace(layout.view, target_fps=0.0)) as source:  # to be looked at: every frame
            made = cut_out(
                source, seen, mistakes, folder, lines=layout.lines, zones=layout.zones, mounting=layout.mounting
            )
        typer.echo(f"{len(made)} clip{'s' if len(made) != 1 else ''} in {folder}", err=True)
