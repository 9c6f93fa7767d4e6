"""`doorline count`: count a recording, or boxes another detector found, with no server and no box.

It is also how a line is tried out before a camera is enrolled and how a doubtful count is checked, so it says which
person crossed when, and refuses bad input before work begins: an hour of counting must not end in "can't write".
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.counted import Counted, as_json, show
from cli.layout import CameraOption, ConfigOption, Layout, ZoneOption, config_alone, from_config, from_options
from cli.main import fail
from cli.options import (
    AnchorChoice,
    DetectorChoice,
    DetectorOption,
    InsideOption,
    LineOption,
    ModelOption,
    MountingChoice,
    MountingOption,
    NameOption,
    SettleChoice,
    SettleOption,
    check_outputs,
    progress,
)

if TYPE_CHECKING:
    from edge.models import Crossing

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_WHOLE = 0.9  # of the frames a header promises; some count those a camera dropped, one clip known to us 4% of all


def count(
    context: typer.Context,
    video: Annotated[
        str | None, typer.Argument(metavar="VIDEO", help="The recording. Left out with --boxes.", show_default=False)
    ] = None,
    line: LineOption = None,
    inside: InsideOption = None,
    name: NameOption = None,
    zone: ZoneOption = None,
    config: ConfigOption = None,
    camera: CameraOption = None,
    mounting: MountingChoice = MountingOption.OBLIQUE,
    anchor: AnchorChoice = None,
    settle: SettleChoice = SettleOption.IMMEDIATE,
    detector: DetectorChoice = DetectorOption.AUTO,
    model: ModelOption = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write totals and every crossing to this file.", show_default=False),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            "--annotate", metavar="OUT.mp4", help="Write the video with tracks and totals drawn.", show_default=False
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            metavar="FILE.csv[.gz]",
            help="Count these boxes instead of a video: rows of frame,-1,x,y,w,h,score in pixels, frames from 0.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WxH", help="With --boxes: the picture's size in pixels.", show_default=False),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", metavar="F", help="With --boxes: frames a second.", show_default=False),
    ] = None,
) -> None:
    """Count who crosses a line in a video, with no server.

    All places are fractions of the frame: 0,0 is the upper left corner and 1,1 the lower right.

    Several lines may be given, each with its own inside. A problem ends the command with status 2.

    [bold]Examples[/bold]

    doorline count door.mp4 --line 0.2,0.6,0.8,0.6 --inside 0.5,0.9

    doorline count above.mp4 --mounting overhead --annotate seen.mp4 \\
      --line 0,0.5,1,0.5 --inside 0.5,0.9

    doorline count shop.mp4 --config /etc/doorline/edge.toml --camera S01-C1

    doorline count --boxes boxes.csv.gz --size 1920x1080 --fps 25 \\
      --line 0.5,0,0.5,1 --inside 0.9,0.5
    """
    from edge.boxfile import BoxFileError
    from edge.camera import CameraError
    from edge.detectors import DetectorError
    from edge.geometry import LineError
    from edge.partfile import UnwritableError
    from edge.pictures.annotate import AnnotateError

    if config is not None:
        config_alone(context)
        layout = from_config(config, camera)
    else:
        if camera is not None:
            fail("--camera goes with --config")
        given = (line or [], inside or [], name or [])
        layout = from_options(given, zone or [], anchor, settle, mounting.value, detector.value, model)
    check_outputs(json_out, annotate, source=boxes or Path(video or ""))
    try:
        with _report(json_out) as write:
            if boxes is not None:
                if video is not None:
                    fail("give a VIDEO or --boxes, not both")
                if annotate is not None:
                    fail("--annotate needs a VIDEO to draw on; --boxes has none")
                if model is not None or detector is not DetectorOption.AUTO:
                    fail("--detector and --model need a VIDEO to look at; people in --boxes are found already")
                counted = _count_boxes(boxes, _size(size), _rate(fps), layout)
            elif video is not None:
                if size is not None or fps is not None:
                    fail("--size and --fps go with --boxes; a video knows its own")
                counted = _count_video(video, layout, annotate)
            else:
                fail("give the VIDEO to count, or --boxes with a file of detections")
            write(as_json(str(boxes or video), layout.counted, counted))
    except (AnnotateError, BoxFileError, CameraError, DetectorError, LineError, UnwritableError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        typer.echo("doorline: stopped before the end; nothing was written", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    show(layout.counted, counted)


def _count_video(video: str, layout: Layout, annotate: Path | None) -> Counted:
    from edge.camera import SCENE_PREFIX, open_source
    from edge.pictures.annotate import Annotator, VideoFile
    from edge.pipeline import Pipeline

    with ExitStack() as stack:
        source = stack.enter_context(open_source(video, view=layout.view))
        if source.size == (0, 0):
            fail(f"{video} is a live camera; `doorline count` counts recordings. Use `doorline edge run` for cameras.")
        if source.frame_count is None and video.startswith(SCENE_PREFIX):
            fail(f"{video} never ends; say for how long, for example {video}{'&' if '?' in video else '?'}seconds=60")
        aspect = source.size[0] / source.size[1]
        layout.check(aspect)
        pipeline = Pipeline(layout.finder(), layout.follower(aspect))
        annotator = Annotator(layout.lines, layout.mounting, source.size, layout.zones)
        shown = min(source.fps, layout.view.target_fps or source.fps)  # a second of the video is a second of the shop
        out = stack.enter_context(VideoFile(annotate, shown, annotator.size)) if annotate else None
        found: list[Crossing] = []
        frames = 0
        for frame in progress(source, source.frame_count, Path(video).name):
            step = pipeline.step(frame)
            found += step.crossings
            frames = frame.index + 1  # those that target_fps leaves out went by as well
            if out is not None:
                out.write(annotator.draw(frame, step.tracks, step.crossings))
        found += pipeline.finish()
    if source.frame_count is not None and frames < source.frame_count * _WHOLE:
        typer.echo(
            f"doorline: {video} ends after {frames} of {source.frame_count} frames: it may be damaged, or not "
            "copied completely; only these were counted",
            err=True,
        )
    return Counted(frames, source.fps, found)


def _count_boxes(path: Path, size: tuple[int, int], fps: float, layout: Layout) -> Counted:
    from edge.boxfile import read_boxes
    from edge.models import Detections

    follower = layout.follower(size[0] / size[1])
    by_frame = read_boxes(path, size)
    frames = max(by_frame) + 1
    found: list[Crossing] = []
    for index in progress(range(frames), frames, path.name):
        found += follower.follow(by_frame.get(index, Detections()), index, index / fps).crossings
    return Counted(frames, fps, found + follower.finish())


def _size(text: str | None) -> tuple[int, int]:
    if text is None:
        fail("--boxes needs --size WxH, the picture's size in pixels, for example --size 1920x1080")
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        fail(f"--size is '{text}'; it has to be WxH in pixels, for example 1920x1080")
    return int(width), int(height)


def _rate(fps: float | None) -> float:
    if fps is None:
        fail("--boxes needs --fps F, the frames a second, for example --fps 25")
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        fail(f"--fps is {fps:g}; it has to be above 0 and at most 1000")
    return fps


@contextmanager
def _report(path: Path | None) -> "Iterator[Callable[[str], None]]":
    """Takes the text of a report, if one is wanted, and lets the file appear once all went well."""
    from edge.partfile import PartFile, UnwritableError

    if path is None:
        yield lambda _: None
        return
    with PartFile(path) as part:

        def write(text: str) -> None:
            try:
                part.write_text(text, encoding="utf-8")
            except OSError as error:
                raise UnwritableError(path, error) from error

        yield write
