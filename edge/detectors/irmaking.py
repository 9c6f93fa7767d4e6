"""A model in OpenVINO's own form, made from ONNX: for boxes that run OpenVINO, and need no torch to make it.

OpenVINO reads ONNX as well and is as fast with it; in its own form a model takes some 20 MB less of the box's memory,
and half of the disk where its weights are kept in half precision, which is done only where the boxes stay the same. The
traps: OpenVINO's converter reports its use over the network, so the model is read and written without it; and two files
are not replaced in one step, so the description notes which weights are its own (see `irfile`).
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.detectors.errors import DetectorError
from edge.detectors.irfile import SECTION, SUFFIX, WEIGHTS_NOTE, checksum, weights_of
from edge.detectors.onnx import OnnxFinder
from edge.detectors.onnxfile import read_onnx
from edge.detectors.runtimes import cannot_run, choose
from edge.detectors.runtimes.trial import compare
from edge.models import Detections
from edge.partfile import PartFile, UnwritableError

#: Notes of the ONNX model that say how its answer is read.
_KEPT: Final = ("names", "task", "imgsz")
_RUNTIME: Final = "openvino"


def make_ir(
    model: Path, out: Path, pictures: Sequence[NDArray[np.uint8]], *, confidence: float, reference: Sequence[Detections]
) -> bool:
    """Write an ONNX model in OpenVINO's form.

    Args:
        model: the .onnx file.
        out: the .xml file to write; its weights go beside it, with .bin. What is there is replaced.
        pictures: BGR uint8, shape (h, w, 3): what half precision is tried on.
        confidence: the least score of a box.
        reference: the boxes that are right for each picture.

    Returns:
        Whether the weights are kept in half precision: only if the boxes in these pictures stay the same, and there
        are some.

    Raises:
        DetectorError: OpenVINO is missing or refuses the model, or nothing can be written; the text says what to do.
    """
    choose(_RUNTIME)
    size = OnnxFinder(model, runtime=_RUNTIME, confidence=confidence).size
    with tempfile.TemporaryDirectory(prefix="doorline-openvino-") as folder:
        made = Path(folder) / f"{model.stem}{SUFFIX}"
        for halved in (True, False):
            _write(model, made, size, halved=halved)
            finder = OnnxFinder(made, confidence=confidence)
            if not halved or compare(reference, [finder.find(each) for each in pictures], confidence).same:
                break
        del finder  # it holds the weights' file, which some systems then do not let go
        _put(made, out)
    return halved


def _write(model: Path, made: Path, size: tuple[int, int], *, halved: bool) -> None:
    """Write both files; twice, for what the description notes of the weights is known once they are written."""
    import openvino

    file = read_onnx(model)
    try:
        network = openvino.Core().read_model(file.content, b"")
        if network.inputs[0].partial_shape.is_dynamic:
            network.reshape({network.inputs[0].any_name: [1, 3, size[1], size[0]]})
        notes = {key: file.notes[key] for key in _KEPT if key in file.notes} | {"made_from": model.name}
        for key, note in notes.items():
            network.set_rt_info(note, [SECTION, key])
        openvino.save_model(network, str(made), compress_to_fp16=halved)
        network.set_rt_info(checksum(weights_of(made)), [SECTION, WEIGHTS_NOTE])
        openvino.save_model(network, str(made), compress_to_fp16=halved)
    except RuntimeError as error:
        raise cannot_run(model, _RUNTIME, error) from error


def _put(made: Path, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with PartFile(weights_of(out)) as weights, PartFile(out) as description:
            shutil.copyfile(weights_of(made), weights)
            shutil.copyfile(made, description)
    except UnwritableError as error:
        raise DetectorError(f"{error} Name another place with --out.") from error
    except OSError as error:
        raise DetectorError(f"{out} can't be written: {error.strerror or error}. Name another with --out.") from error
