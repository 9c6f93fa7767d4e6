"""`doorline models …`: turn weights into a model a box can run, and find out which runtime runs it best.

A model is chosen and tried at a desk or on the box itself, not while a shop's camera waits for it: so this checks what
a shop would find out the hard way, and ends with the lines that belong into edge.toml.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.main import fail

if TYPE_CHECKING:
    from edge.detectors.runtimes.trial import Measured
    from edge.models import Detections

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Turn weights into a model for a box, and measure runtimes."
)

_SCENE = "scene:oblique?seed=3&rate=30&seconds=40&size=768x432"
_PICTURES = 12  # enough to show people near and far, few enough for a slow box

VideoOption = Annotated[
    str | None,
    typer.Option(
        "--video",
        metavar="SOURCE",
        help="Pictures to compare boxes on: a recording of the camera is best. Rendered ones when left out.",
        show_default=False,
    ),
]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0.1, max=60, help="How long each runtime is measured with each threads.")
]
WriteOption = Annotated[
    Path | None,
    typer.Option("--write", metavar="FILE", help="Write the lines for edge.toml to this file.", show_default=False),
]


@app.command("export", epilog="Example: doorline models export yolo11n.pt --video door.mp4 --size 416x256")
def export_weights(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="An ultralytics .pt file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="MODEL.onnx", help="Default: WEIGHTS with .onnx.", show_default=False),
    ] = None,
    size: Annotated[
        str,
        typer.Option("--size", metavar="WxH", help="Of the pictures the model takes; 416x256 suits a 16:9 camera."),
    ] = "416x256",
    download: Annotated[
        bool, typer.Option("--download", help="Let ultralytics fetch WEIGHTS by its name, if it is not here.")
    ] = False,
    video: VideoOption = None,
    seconds: SecondsOption = 1.5,
    write: WriteOption = None,
) -> None:
    """Turn WEIGHTS into ONNX, check that every runtime here gives the boxes of the weights, and pick the fastest.

    Needs doorline\\[yolo] (ultralytics, AGPL-3.0); the box that runs the result doesn't.
    """
    from edge.detectors import DetectorError
    from edge.detectors.decoding import LEAST_SCORE
    from edge.detectors.export import export
    from edge.detectors.yolo import YoloFinder

    wide, high = _size(size)
    model = out or weights.with_suffix(".onnx")
    try:
        export(weights, model, size=(wide, high), may_fetch=download)
        typer.echo(f"{model} is written. Now every runtime here is tried on pictures; that takes a while.")
        pictures = _pictures(video)
        reference = YoloFinder(weights, confidence=LEAST_SCORE, size=(wide, high), whole=True)
        _report(model, pictures, [reference.find(each) for each in pictures], "the weights", seconds, write)
    except DetectorError as error:
        fail(str(error))


@app.command(epilog="Example: doorline models check person.onnx --video door.mp4")
def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file of YOLO or YOLOX.")],
    video: VideoOption = None,
    seconds: SecondsOption = 1.5,
    write: WriteOption = None,
) -> None:
    """Check that MODEL can be used and every runtime here gives the same boxes; pick the fastest. Needs no torch."""
    from edge.detectors import DetectorError

    try:
        _report(model, _pictures(video), None, "the first runtime", seconds, write)
    except DetectorError as error:
        fail(str(error))


def _report(
    model: Path,
    pictures: list[Any],
    reference: "list[Detections] | None",
    against: str,
    seconds: float,
    write: Path | None,
) -> None:
    from edge.detectors.decoding import LEAST_SCORE
    from edge.detectors.runtimes.trial import best, try_runtimes

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = (1,) if cores == 1 else (1, cores)
    rows = try_runtimes(
        model, pictures, threads=threads, confidence=LEAST_SCORE, reference=reference, at_least_s=seconds
    )
    console = Console()
    console.print(_table(rows, against))
    chosen = best(rows, 1)
    if chosen is None:
        unproven = all(row.agreement is None or not row.agreement.boxes for row in rows)
        fail(
            f"{against[0].upper()}{against[1:]} found nobody in these pictures, so nothing shows that the runtimes "
            f"agree. {model} is there; try it on a recording with people in it: "
            f"doorline models check {model} --video door.mp4"
            if unproven
            else f"No runtime on this machine gives the boxes of {against}. Don't use this model here; export it anew."
        )
    lines = f'detector = "onnx"\nmodel = "{model.resolve()}"\nruntime = "{chosen.runtime}"\nthreads = 1\n'
    if write is not None:
        try:
            write.write_text(lines, encoding="utf-8")
        except OSError as error:
            fail(f"{write} can't be written: {error.strerror}.")
    console.print(f"Fastest that agrees: {chosen.runtime}. For each [[camera]] in edge.toml:\n", markup=False)
    console.print(lines, markup=False, highlight=False, soft_wrap=True)
    if write is not None:
        console.print(f"These lines are in {write}, too.", markup=False, highlight=False, soft_wrap=True)


def _table(rows: "list[Measured]", against: str) -> Table:
    table = Table(title=f"boxes compared with those of {against}", title_justify="left")
    table.add_column("runtime")
    table.add_column("threads", justify="right")
    table.add_column("pictures/s", justify="right")
    table.add_column("boxes")
    for row in rows:
        if row.agreement is None:
            table.add_row(row.runtime, str(row.threads), "-", f"[red]can't run it:[/red] {escape(row.fault)}")
            continue
        verdict = "[green]same[/green]" if row.agreement.same else "[red]other boxes[/red]"
        if not row.agreement.boxes:
            verdict = "[yellow]not shown[/yellow]"
        table.add_row(row.runtime, str(row.threads), f"{row.per_s:.1f}", f"{verdict}: {row.agreement}")
    return table


def _pictures(video: str | None) -> list[Any]:
    """Pictures spread over the first minute of a source."""
    from edge.camera import CameraError, open_source

    try:
        with open_source(video or _SCENE) as source:
            step = max(1, round(source.fps * 60 / _PICTURES)) if video else 40
            found = []
            for frame in source:
                if frame.index % step == 0:
                    found.append(frame.image.copy())
                if len(found) == _PICTURES:
                    break
    except CameraError as error:
        fail(str(error))
    if not found:
        fail(f"{video} has no pictures.")
    return found


def _size(text: str) -> tuple[int, int]:
    wide, _, high = text.lower().partition("x")
    if not (wide.isdigit() and high.isdigit()):
        fail(f"--size {text}: give width and height in pixels, for example 416x256.")
    return int(wide), int(high)
