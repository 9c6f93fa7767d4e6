"""Weights turned into ONNX by ultralytics, on a machine that has it; a box in a shop needs only the result.

One file serves every runtime, OpenVINO's too, whose own form is made from it (see `irmaking`). The trap: left to itself
an export takes whatever size, precision and extra steps its version likes that week; all that bears on the boxes is
asked for by name, and what comes out is read back before anyone relies on it.
"""

import shutil
import tempfile
import warnings
from pathlib import Path

from edge.detectors.decoding import CELL
from edge.detectors.errors import DetectorError
from edge.detectors.onnx import OnnxFinder
from edge.detectors.yolo import FAILURES, first_line, load_ultralytics
from edge.partfile import PartFile, UnwritableError


def export(weights: Path, out: Path, *, size: tuple[int, int], may_fetch: bool = False) -> Path:
    """Turn ultralytics weights into an ONNX model.

    Args:
        weights: a .pt file; or, with `may_fetch`, the name of one that ultralytics offers.
        out: the .onnx file to write; replaced, if it is there, by a model that was tried out, never by an unfit one.
        size: width and height of the pictures it shall take, multiples of 32.
        may_fetch: let ultralytics fetch weights that are not here.

    Returns:
        `out`.

    Raises:
        DetectorError: weights are missing or unfit, a package is missing, the size is wrong; the text says what to do.
    """
    if any(side < CELL or side % CELL for side in size):
        raise DetectorError(f"Size {size[0]}x{size[1]}: both sides must be multiples of {CELL}, for example 416x256.")
    if weights.suffix == ".onnx":
        raise DetectorError(f"{weights} is an ONNX model already. Try it out with: doorline models check {weights}")
    if not weights.exists() and not may_fetch:
        raise DetectorError(
            f"There is no weights file {weights}. Check the path, or let ultralytics fetch it by its name with "
            "--download, where there is internet."
        )
    yolo = load_ultralytics(may_fetch=may_fetch)
    with tempfile.TemporaryDirectory(prefix="doorline-export-") as folder:
        # It writes beside the weights, which may lie where nothing may be written.
        here = Path(folder) / weights.name
        if weights.exists():
            shutil.copyfile(weights, here)
        try:
            model = yolo(str(here if weights.exists() else weights), task="detect")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's word to ultralytics, not to us
                made = model.export(
                    format="onnx",
                    imgsz=[size[1], size[0]],
                    batch=1,
                    half=False,
                    int8=False,
                    dynamic=False,
                    simplify=False,
                    nms=False,
                    device="cpu",
                )
        except ModuleNotFoundError as error:
            raise DetectorError(
                f"Exporting needs {error.name}, which is not installed: pip install 'doorline[yolo]'."
            ) from error
        except FAILURES as error:
            fault = first_line(error).replace(str(here), "it")
            raise DetectorError(
                f"ultralytics can't export {weights} ({fault}). Give weights (.pt) that it trained for detection."
            ) from error
        try:
            OnnxFinder(Path(made))
        except DetectorError as error:
            fault = str(error).replace(f"Model {made}", "It")
            raise DetectorError(f"What was made of {weights} can't be used. {fault}") from error
        _put(Path(made), out)
    return out


def _put(made: Path, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with PartFile(out) as writing:
            shutil.copyfile(made, writing)
    except UnwritableError as error:
        raise DetectorError(f"{error} Name another place with --out.") from error
    except OSError as error:
        raise DetectorError(f"{out} can't be written: {error.strerror or error}. Name another with --out.") from error
