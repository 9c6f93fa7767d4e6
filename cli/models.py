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
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="An ultralytics .pt file; or an .onnx model.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="MODEL.onnx",
            help="Default: WEIGHTS with .onnx. OpenVINO's form goes beside it, as .xml and .bin.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Of the pictures the model takes; 416x256 suits a 16:9 camera. An .onnx model has its own.",
        ),
    ] = "416x256",
    download: Annotated[
        bool, typer.Option("--download", help="Let ultralytics fetch WEIGHTS by its name, if it is not here.")
    ] = False,
    video: VideoOption = None,
    seconds: SecondsOption = 1.5,
    write: WriteOption = None,
) -> None:
    """Turn WEIGHTS into ONNX and OpenVINO, check that every runtime gives the boxes of the weights, pick the fastest.

    Needs doorline\\[yolo] (ultralytics, AGPL-3.0) for a .pt file; the box that runs the result doesn't. OpenVINO's own
    form is made where doorline\\[openvino] is installed, and needs nothing else; of an .onnx model it alone is made.
    """
    from edge.detectors import DetectorError

    try:
        if weights.suffix == ".onnx":
            _export_onnx(weights, out or weights, video, seconds, write)
        else:
            _export_weights(weights, out or weights.with_suffix(".onnx"), _size(size), download, video, seconds, write)
    except DetectorError as error:
        fail(str(error))


def _export_weights(
    weights: Path,
    model: Path,
    size: tuple[int, int],
    download: bool,
    video: str | None,
    seconds: float,
    write: Path | None,
) -> None:
    from edge.detectors.decoding import LEAST_SCORE
    from edge.detectors.export import export
    from edge.detectors.yolo import YoloFinder

    export(weights, model, size=size, may_fetch=download)
    typer.echo(f"{model} is written.")
    pictures = _pictures(video)
    finder = YoloFinder(weights, confidence=LEAST_SCORE, size=size, whole=True)
    reference = [finder.find(each) for each in pictures]
    models = [model, *_openvino_form(model, model, pictures, reference)]
    _report(models, pictures, reference, "the weights", seconds, write)


def _export_onnx(model: Path, out: Path, video: str | None, seconds: float, write: Path | None) -> None:
    from edge.detectors import DetectorError
    from edge.detectors.decoding import LEAST_SCORE
    from edge.detectors.onnx import OnnxFinder
    from edge.detectors.runtimes import installed

    if "openvino" not in installed():
        raise DetectorError(
            f"{model} is an ONNX model already, which every runtime can run. Try it out with: doorline models check "
            f"{model}. To turn it into OpenVINO's form, which takes less of a box's memory: pip install "
            "'doorline[openvino]'"
        )
    finder = OnnxFinder(model, confidence=LEAST_SCORE)
    pictures = _pictures(video)
    reference = [finder.find(each) for each in pictures]
    models = [model, *_openvino_form(model, out, pictures, reference)]
    _report(models, pictures, reference, f"the ONNX model in {finder.runtime}", seconds, write)


def _openvino_form(model: Path, out: Path, pictures: list[Any], reference: "list[Detections]") -> list[Path]:
    """The model in OpenVINO's form, written beside `out`; none, with a word on it, where OpenVINO is not installed."""
    from edge.detectors.decoding import LEAST_SCORE
    from edge.detectors.irfile import SUFFIX, weights_of
    from edge.detectors.irmaking import make_ir
    from edge.detectors.runtimes import installed

    if "openvino" not in installed():
        typer.echo("OpenVINO's own form is not written: pip install 'doorline[openvino]' for a box that runs OpenVINO.")
        return []
    form = out.with_suffix(SUFFIX)
    halved = make_ir(model, form, pictures, confidence=LEAST_SCORE, reference=reference)
    why = "the boxes stay the same" if halved else "in half precision nothing shows that the boxes stay the same"
    typer.echo(
        f"{form} and {weights_of(form).name} are written, OpenVINO's own form, its weights in "
        f"{'half' if halved else 'single'} precision: {why}."
    )
    return [form]


@app.command(epilog="Example: doorline models check person.onnx --video door.mp4")
def check(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An .onnx file of YOLO or YOLOX, or OpenVINO's .xml of one.")
    ],
    video: VideoOption = None,
    seconds: SecondsOption = 1.5,
    write: WriteOption = None,
) -> None:
    """Check that MODEL can be used and every runtime here gives the same boxes; pick the fastest. Needs no torch.

    Where both are in one place, the .onnx file and OpenVINO's form of it are held against each other.
    """
    from edge.detectors import DetectorError
    from edge.detectors.irfile import SUFFIX
    from edge.detectors.runtimes import installed

    forms = [model.with_suffix(suffix) for suffix in (".onnx", SUFFIX)] if model.suffix in (".onnx", SUFFIX) else []
    there = [form for form in forms if form == model or (form.exists() and ("openvino" in installed()))]
    try:
        _report(there or [model], _pictures(video), None, "the first runtime", seconds, write)
    except DetectorError as error:
        fail(str(error))


def _report(
    models: list[Path],
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
    typer.echo("Now every runtime here is tried on pictures; that takes a while.")
    rows = try_runtimes(
        models, pictures, threads=threads, confidence=LEAST_SCORE, reference=reference, at_least_s=seconds
    )
    console = Console()
    console.print(_table(rows, against))
    chosen = best(rows, 1)
    if chosen is None:
        unproven = all(row.agreement is None or not row.agreement.boxes for row in rows)
        fail(
            f"{against[0].upper()}{against[1:]} found nobody in these pictures, so nothing shows that the runtimes "
            f"agree. {models[0]} is there; try it on a recording with people in it: "
            f"doorline models check {models[0]} --video door.mp4"
            if unproven
            else f"No runtime on this machine gives the boxes of {against}. Don't use this model here; export it anew."
        )
    lines = f'detector = "onnx"\nmodel = "{chosen.model.resolve()}"\nruntime = "{chosen.runtime}"\nthreads = 1\n'
    if reference is None and len({(row.runtime, row.model) for row in rows}) == 1:
        typer.echo(f"Only {chosen.runtime} could be tried here, so nothing shows that another would give its boxes.")
    if write is not None:
        try:
            write.write_text(lines, encoding="utf-8")
        except OSError as error:
            fail(f"{write} can't be written: {error.strerror}.")
    console.print(
        f"Fastest that agrees: {chosen.runtime} with {chosen.model.name}. For each [[camera]] in edge.toml:\n",
        markup=False,
    )
    console.print(lines, markup=False, highlight=False, soft_wrap=True)
    if write is not None:
        console.print(f"These lines are in {write}, too.", markup=False, highlight=False, soft_wrap=True)


def _table(rows: "list[Measured]", against: str) -> Table:
    table = Table(title=f"boxes compared with those of {against}", title_justify="left")
    table.add_column("runtime")
    table.add_column("model")
    table.add_column("threads", justify="right")
    table.add_column("pictures/s", justify="right")
    table.add_column("boxes")
    for row in rows:
        if row.agreement is None:
            table.add_row(
                row.runtime, row.model.suffix, str(row.threads), "-", f"[red]can't run it:[/red] {escape(row.fault)}"
            )
            continue
        verdict = "[green]same[/green]" if row.agreement.same else "[red]other boxes[/red]"
        if not row.agreement.boxes:
            verdict = "[yellow]not shown[/yellow]"
        table.add_row(
            row.runtime, row.model.suffix, str(row.threads), f"{row.per_s:.1f}", f"{verdict}: {row.agreement}"
        )
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
