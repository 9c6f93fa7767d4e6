"""Trained detectors without torch: YOLOX and the YOLO families, exported to ONNX.

Everything that can be wrong with a model is found when the detector is made, by running it once, for a wrong number of
classes or a swapped axis does not fail: it gives boxes, and they are wrong.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.detectors.decoding import (
    CELL,
    LEAST_SCORE,
    MOST_OVERLAP,
    Family,
    class_count,
    family_of,
    make_decoder,
    strongest,
)
from edge.detectors.errors import DetectorError
from edge.detectors.irfile import SUFFIX, read_ir
from edge.detectors.letterbox import Letterbox
from edge.detectors.onnxfile import ModelFile, read_onnx
from edge.detectors.runtimes import AUTO, Network, choose, load
from edge.detectors.vocabulary import COCO_CLASSES, our_classes
from edge.models import PERSON, Detections


class OnnxFinder:
    """Finds people, carts and bags with a trained network.

    Args:
        model: an .onnx file of YOLOX, or of YOLO (v5, v8, v9, v10, 11, 12, 26) as its exporter writes it, with a class
            `person` or only one class; or the .xml file of one in OpenVINO's form, its weights beside it.
        confidence: the least score; None for `LEAST_SCORE`.
        overlap: of two boxes that overlap more than this (intersection over union) the weaker is left out.
        threads: processor threads one picture may use.
        runtime: one of `edge.detectors.runtimes.NAMES`, or `auto` for the first that is installed and can run it.

    Attributes:
        runtime: the one that is used.
        family: how the model's answer is read.
        size: width and height of the pictures the model takes (pixels).
        network: the bare network, for measuring.

    Raises:
        DetectorError: the model is missing, damaged, of another kind, or can't be run; the text says what to do.
    """

    def __init__(
        self,
        model: Path,
        *,
        confidence: float | None = None,
        overlap: float = MOST_OVERLAP,
        threads: int = 1,
        runtime: str = AUTO,
    ) -> None:
        self._confidence = LEAST_SCORE if confidence is None else confidence
        self._overlap = overlap
        self.runtime = choose(runtime, model)
        file = read_ir(model) if model.suffix == SUFFIX else read_onnx(model)
        height, width = _input_size(file, model)
        wanted = _wanted(file.notes, model)
        self.size = (width, height)
        self.network: Network = load(self.runtime, file.content, model, size=(height, width), threads=threads)
        self.family: Family = self._try_out(model, wanted, named="names" in file.notes)
        plain = self.family == "yolox" or (self.family == "decoded" and _is_yolox(file.notes, model))
        self._letterbox = Letterbox(width, height, centred=not plain, plain=plain)
        self._decode = make_decoder(self.family, width, height, wanted)

    def _try_out(self, model: Path, wanted: dict[int, int], *, named: bool) -> Family:
        width, height = self.size
        answer = self.network(np.full((1, 3, height, width), 0.45, np.float32))
        family = family_of(answer, width, height)
        if family is None:
            raise DetectorError(
                f"Model {model} answers with shape {answer.shape} for a {width}x{height} picture, which is neither "
                f"YOLOX's nor YOLO's. {_how_to_export(answer.ndim, self.size)}"
            )
        classes = class_count(family, answer.shape)
        if not named and classes not in (None, 1, COCO_CLASSES):
            raise DetectorError(
                f"Model {model} tells {classes} classes apart and doesn't say which are people. Write their names into "
                "it, as metadata `names`, for example {0: 'person', 1: 'cart'}; ultralytics' export does."
            )
        beyond = [number for number in wanted if classes is not None and number >= classes]
        if any(wanted[number] == PERSON for number in beyond):
            raise DetectorError(f"Model {model} has {classes} classes but names 'person' as number {beyond[0]}.")
        for number in beyond:
            del wanted[number]
        return family

    def find(self, image: NDArray[np.uint8]) -> Detections:
        """Find people in a picture, or in a part of one; boxes in fractions of it, best first.

        Args:
            image: BGR, uint8, shape (h, w, 3).
        """
        blob, placed = self._letterbox.lay(image)
        raw = self._decode(self.network(blob)[0], self._confidence)
        kept = strongest(raw, self._overlap)
        boxes = placed.back(raw.boxes[kept])
        solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept = kept[solid]
        return Detections(boxes[solid], np.clip(raw.scores[kept], 0.0, 1.0), raw.classes[kept])


def _input_size(file: ModelFile, model: Path) -> tuple[int, int]:
    """Height and width of the pictures the model takes; where the export left them open, what it notes, or 640."""
    batch, channels, height, width = file.input_shape
    if width == 3 and channels != 3:
        raise DetectorError(
            f"Model {model} takes pictures with their colours last (NHWC), as TensorFlow has them. Export it from "
            "torch, with pictures as batch, channels, height, width."
        )
    if channels not in (None, 3) or batch not in (None, 1):
        raise DetectorError(
            f"Model {model} takes {batch or 'any number of'} pictures of {channels or 'any number of'} channels at a "
            "time; export one with batch=1, colour."
        )
    noted = _literal(file.notes.get("imgsz", ""))
    if isinstance(noted, int):
        noted = (noted, noted)
    rows, columns = noted if isinstance(noted, list | tuple) and len(noted) == 2 else (640, 640)
    return height or int(rows), width or int(columns)


def _how_to_export(axes: int, size: tuple[int, int]) -> str:
    """What to do about an answer of so many axes that belongs to no family."""
    if axes > 3:
        return "It looks like the bare heads of one: export it with its decoder (ultralytics' export does)."
    if any(side % CELL for side in size):
        return f"Its pictures' sides are no multiples of {CELL}: export it for 416x256, for example."
    return "Export a detection model (not segmentation, pose or classification)."


def _wanted(notes: Mapping[str, str], model: Path) -> dict[int, int]:
    if notes.get("task", "detect") != "detect":
        raise DetectorError(f"Model {model} is for '{notes['task']}'; export one for detection.")
    found = _literal(notes.get("names", ""))
    names = {int(number): str(name) for number, name in found.items()} if isinstance(found, dict) else {}
    wanted = our_classes(names)
    if not wanted:
        known = ", ".join(list(names.values())[:5])
        raise DetectorError(
            f"Model {model} knows no people; its classes are {known}. Use one trained with a class 'person'."
        )
    return wanted


def _is_yolox(notes: Mapping[str, str], model: Path) -> bool:
    """Whether cells in pixels are YOLOX's, which take other colours than v5's: by what the file says of itself."""
    return "yolox" in model.name.lower() or "yolox" in " ".join(notes.values()).lower()


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
