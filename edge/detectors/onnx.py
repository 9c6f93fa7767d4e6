"""Trained person detectors without torch: YOLOX and the YOLO family (v8, 11, 26), exported to ONNX.

Runs on onnxruntime where it is installed and on OpenCV otherwise, a little slower. Everything that can be wrong with a
model is found when the detector is made, by running it once, for a wrong number of classes or a swapped axis does not
fail: it gives boxes, and they are wrong.
"""

import ast
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.errors import DetectorError
from edge.detectors.onnxfile import OnnxFile, read_onnx
from edge.models import Boxes, Detections, Frame
from edge.opencv import prepare_opencv

Floats = NDArray[np.float32]
#: Pictures in (1, 3, height, width), the network's first answer out.
Network = Callable[[Floats], Floats]
Family = Literal["yolox", "yolo", "end2end"]

_STRIDES: Final = (8, 16, 32)
_PAD: Final = 114.0  # the grey both families were trained with around a picture
_COCO_CLASSES: Final = 80


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture was laid into the network's input: scaled by `scale`, then moved by `left`, `top` (pixels)."""

    scale: float
    left: int
    top: int


class OnnxDetector:
    """Finds people with a trained network.

    Args:
        model: an .onnx file of YOLOX, or of YOLO as ultralytics exports it (`format=onnx`), with a class `person` or
            only one class.
        confidence: the least score. Low on purpose: a tracker can hold someone half hidden by a weak box.
        overlap: of two boxes that overlap more than this (intersection over union) the weaker is left out.
        threads: processor threads one picture may use.
        runtime: None takes onnxruntime if it is installed, else OpenCV.

    Raises:
        DetectorError: the model is missing, damaged, of another kind, or can't be run; the text says what to do.
    """

    def __init__(
        self,
        model: Path,
        *,
        confidence: float = 0.15,
        overlap: float = 0.6,
        threads: int = 1,
        runtime: Literal["onnxruntime", "opencv"] | None = None,
    ) -> None:
        self._confidence, self._overlap = confidence, overlap
        file = read_onnx(model)
        self._height, self._width = _input_size(file, model)
        self._person = _person_class(file.notes, model)
        installed = importlib.util.find_spec("onnxruntime") is not None
        self.runtime: str = runtime or ("onnxruntime" if installed else "opencv")
        load = _onnxruntime if self.runtime == "onnxruntime" else _opencv
        self._network = load(file.content, model, threads)
        self.family: Family = self._try_out(model)

    def _try_out(self, model: Path) -> Family:
        empty = np.full((1, 3, self._height, self._width), _PAD, np.float32)
        shape = self._network(empty).shape
        family = _family(shape, self._height, self._width)
        if family is None:
            raise DetectorError(
                f"Model {model} answers with shape {shape} for a {self._width}x{self._height} picture, which is "
                "neither YOLOX's nor YOLO's. Export a detection model (not segmentation, pose or classification)."
            )
        classes = {"yolox": shape[-1] - 5, "yolo": shape[1] - 4, "end2end": _COCO_CLASSES}[family]
        if self._person >= classes:
            raise DetectorError(f"Model {model} has {classes} classes but names 'person' as number {self._person}.")
        return family

    def detect(self, frame: Frame, held: Boxes) -> Detections:  # noqa: ARG002 - a trained network learns nothing
        """Find people; boxes in fractions of the frame, best first."""
        plain = self.family == "yolox"  # trained on 0-255 BGR; the others on 0-1 RGB
        picture, placed = letterbox(frame.image, self._width, self._height, centred=not plain)
        blob = cv2.dnn.blobFromImage(picture, 1.0 if plain else 1 / 255.0, swapRB=not plain)
        answer = self._network(np.asarray(blob, np.float32))[0]
        if plain:
            boxes, scores = decode_yolox(answer, self._width, self._height, self._person)
        elif self.family == "yolo":
            boxes, scores = decode_yolo(answer, self._person)
        else:
            boxes, scores = decode_end2end(answer, self._person)
        strong = scores >= self._confidence
        boxes, scores = boxes[strong], scores[strong]
        kept = strongest(boxes, scores, self._overlap)
        return _placed_back(boxes[kept], scores[kept], placed, frame.image.shape)


def letterbox(
    image: NDArray[np.uint8], width: int, height: int, *, centred: bool
) -> tuple[NDArray[np.uint8], Letterbox]:
    """Lay a picture into one of `width` x `height` without distorting it, grey around; at the top left or centred."""
    scale = min(width / image.shape[1], height / image.shape[0])
    columns, rows = round(image.shape[1] * scale), round(image.shape[0] * scale)
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    left, top = ((width - columns) // 2, (height - rows) // 2) if centred else (0, 0)
    canvas = np.full((height, width, 3), int(_PAD), np.uint8)
    canvas[top : top + rows, left : left + columns] = small
    return canvas, Letterbox(scale, left, top)


def decode_yolox(answer: Floats, width: int, height: int, person: int) -> tuple[Floats, Floats]:
    """Boxes and person scores of YOLOX's raw answer.

    Args:
        answer: shape (cells, 5 + classes): centre as an offset from its cell and size as a logarithm, both in strides;
            objectness; class scores. Source: Ge et al., YOLOX, 2021, and its demo's post-processing.
        width, height: of the network's input.
        person: the class wanted.

    Returns:
        Boxes x1, y1, x2, y2 in pixels of the input, shape (cells, 4), and scores, shape (cells,).
    """
    cells, strides = _cells(width, height)
    centre = (answer[:, :2] + cells) * strides
    half = np.exp(np.minimum(answer[:, 2:4], 10.0)) * strides / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return boxes.astype(np.float32), np.asarray(answer[:, 4] * answer[:, 5 + person], np.float32)


def decode_yolo(answer: Floats, person: int) -> tuple[Floats, Floats]:
    """Boxes and person scores of YOLO v8's and 11's answer, shape (4 + classes, cells), centre and size in pixels."""
    centre, half = answer[:2].T, answer[2:4].T / 2
    return np.concatenate([centre - half, centre + half], axis=1), np.asarray(answer[4 + person], np.float32)


def decode_end2end(answer: Floats, person: int) -> tuple[Floats, Floats]:
    """Boxes and person scores of an end-to-end model, shape (n, 6): x1, y1, x2, y2, score, class."""
    mine = answer[np.round(answer[:, 5]) == person]
    return mine[:, :4], mine[:, 4]


def strongest(boxes: Floats, scores: Floats, overlap: float) -> NDArray[np.intp]:
    """Which boxes to keep, best first, so that no two overlap by more than `overlap` (non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = np.maximum(areas[best] + areas[rest] - shared, 1e-9)
        order = rest[shared / union <= overlap]
    return np.array(kept, np.intp)


def _placed_back(boxes: Floats, scores: Floats, placed: Letterbox, shape: tuple[int, ...]) -> Detections:
    moved = (boxes - np.tile((placed.left, placed.top), 2)) / placed.scale
    fractions = np.clip(moved / np.tile((shape[1], shape[0]), 2), 0.0, 1.0)
    solid = np.all(fractions[:, 2:] > fractions[:, :2], axis=1)
    return Detections(fractions[solid].astype(np.float32), np.clip(scores[solid], 0.0, 1.0).astype(np.float32))


def _cells(width: int, height: int) -> tuple[Floats, Floats]:
    """Column and row of each of YOLOX's cells, shape (cells, 2), and its stride, shape (cells, 1)."""
    places, strides = [], []
    for stride in _STRIDES:
        rows, columns = height // stride, width // stride
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        places.append(grid)
        strides.append(np.full((len(grid), 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _family(shape: tuple[int, ...], height: int, width: int) -> Family | None:
    """Which family answers in this shape; None if neither does."""
    cells = sum((height // s) * (width // s) for s in _STRIDES)
    if len(shape) != 3 or shape[0] != 1:
        return None
    if shape[1] == cells and shape[2] > 5:
        return "yolox"
    if shape[2] == cells and shape[1] > 4:
        return "yolo"
    return "end2end" if shape[2] == 6 else None


def _input_size(file: OnnxFile, model: Path) -> tuple[int, int]:
    """Height and width of the pictures the model takes; where the export left them open, what it notes, or 640."""
    batch, channels, height, width = file.input_shape
    if channels not in (None, 3) or batch not in (None, 1):
        raise DetectorError(
            f"Model {model} takes {batch} pictures of {channels} channels at a time; export one with batch=1, colour."
        )
    noted = _literal(file.notes.get("imgsz", ""))
    rows, columns = noted if isinstance(noted, list | tuple) and len(noted) == 2 else (640, 640)
    return height or int(rows), width or int(columns)


def _person_class(notes: Mapping[str, str], model: Path) -> int:
    if notes.get("task", "detect") != "detect":
        raise DetectorError(f"Model {model} is for '{notes['task']}'; export one for detection.")
    names = _literal(notes.get("names", ""))
    if not isinstance(names, dict) or not names:
        return 0  # COCO's order, which YOLOX and most exports without notes have
    for number, name in names.items():
        if str(name).lower() in {"person", "people", "pedestrian"}:
            return int(number)
    if len(names) == 1:
        return 0
    known = ", ".join(str(name) for name in list(names.values())[:5])
    raise DetectorError(
        f"Model {model} knows no people; its classes are {known}. Use one trained with a class 'person'."
    )


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


def _onnxruntime(content: bytes, model: Path, threads: int) -> Network:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise DetectorError("onnxruntime is not installed; pip install 'doorline[onnx]'.") from error
    failures = tuple(kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Idle threads would otherwise spin and take from the other cameras what they save here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise DetectorError(_cant_run(model, error)) from error
    name = session.get_inputs()[0].name

    def run(pictures: Floats) -> Floats:
        try:
            return np.asarray(session.run(None, {name: pictures})[0], np.float32)
        except failures as error:
            raise DetectorError(_cant_run(model, error)) from error

    return run


def _opencv(content: bytes, model: Path, threads: int) -> Network:  # noqa: ARG001 - OpenCV's threads are the process's
    prepare_opencv()
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    except cv2.error as error:
        raise DetectorError(_cant_run(model, error)) from error

    def run(pictures: Floats) -> Floats:
        try:
            net.setInput(pictures)
            return np.asarray(net.forward(), np.float32)
        except cv2.error as error:
            raise DetectorError(_cant_run(model, error)) from error

    return run


def _cant_run(model: Path, error: Exception) -> str:
    first = str(error).strip().splitlines()[0][:200]
    return f"Model {model} can't be run ({first}). Export it anew with a fixed picture size and opset 12 to 17."
