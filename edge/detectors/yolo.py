"""People found by ultralytics' own runtime: for machines with a graphics card, and for trying out weights.

Optional, and AGPL-3.0, which binds whoever offers a service with it; a box in a shop exports the same weights to ONNX
and needs neither it nor torch (detector `onnx`). Left to itself, ultralytics installs packages, fetches weights and
reports usage: none of that may happen on a shop's network, so it is switched off before the import reads it.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.detectors.decoding import CELL, LEAST_SCORE, MOST_OVERLAP
from edge.detectors.errors import DetectorError
from edge.detectors.vocabulary import our_classes
from edge.models import Detections

_SETTINGS: Final = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
_MISSING: Final = (
    "The detector 'yolo' needs ultralytics, which is not installed: pip install 'doorline[yolo]' "
    "(ultralytics is licensed under AGPL-3.0, unlike Doorline). Or export the weights to ONNX on "
    "another machine (doorline models export) and use 'onnx'."
)
_USUAL: Final = 640  # pixels: what ultralytics trains with unless it is told otherwise
#: What ultralytics raises where weights are damaged, of another kind, or made by another version.
FAILURES: Final = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, ImportError, EOFError)


class YoloFinder:
    """Finds people, carts and bags with an ultralytics model.

    Args:
        model: weights (.pt), a description (.yaml, untrained) or an exported model ultralytics can run.
        confidence: the least score, 0 to 1; None for `decoding.LEAST_SCORE`.
        size: width and height to which pictures are brought (pixels, multiples of 32); None for those the weights were
            trained with, for at another size they see people of another size. A picture of another shape is laid into
            less of it, as ultralytics does by default.
        whole: lay every picture into all of it, as an exported model must: for comparing the two.

    Raises:
        DetectorError: ultralytics or the model is missing, or the model can't be loaded or knows no people.
    """

    def __init__(
        self,
        model: Path,
        *,
        confidence: float | None = None,
        size: tuple[int, int] | None = None,
        whole: bool = False,
    ) -> None:
        if not model.exists():
            raise DetectorError(f"There is no model file {model}. Check the path; none is fetched from the network.")
        self._confidence = LEAST_SCORE if confidence is None else confidence
        self._path = model
        self._rectangle = not whole
        yolo = load_ultralytics()
        try:
            self._model = yolo(str(model), task="detect")
            names: dict[int, str] = dict(self._model.names)
            self.size = size or _trained_size(self._model.overrides.get("imgsz"))
        except FAILURES as error:
            raise DetectorError(
                f"Model {model} can't be loaded by ultralytics ({first_line(error)}). Give weights (.pt) that it "
                "trained for detection, or an .onnx model to the detector 'onnx'."
            ) from error
        wanted = our_classes(names)
        if not wanted:
            raise DetectorError(f"Model {model} knows no people; use one trained with a class 'person'.")
        self._wanted = list(wanted)
        self._ours = np.zeros(max(wanted) + 1, np.uint8)
        self._ours[self._wanted] = list(wanted.values())
        self.find(np.zeros((64, 64, 3), np.uint8))

    def find(self, image: NDArray[np.uint8]) -> Detections:
        """Find people in a picture, or in a part of one; boxes in fractions of it, best first.

        Args:
            image: BGR, uint8, shape (h, w, 3).

        Raises:
            DetectorError: ultralytics fails.
        """
        try:
            boxes = self._model.predict(
                np.ascontiguousarray(image),
                conf=self._confidence,
                classes=self._wanted,
                imgsz=[self.size[1], self.size[0]],
                rect=self._rectangle,
                iou=MOST_OVERLAP,
                verbose=False,
            )[0].boxes
        except (RuntimeError, ValueError, TypeError) as error:
            raise DetectorError(f"ultralytics failed on a picture: {first_line(error)}.") from error
        if boxes is None:
            raise DetectorError(f"Model {self._path} gives no boxes: it is not for detection. Use one that is.")
        places = np.clip(boxes.xyxyn.cpu().numpy(), 0.0, 1.0).astype(np.float32).reshape(-1, 4)
        classes = self._ours[boxes.cls.cpu().numpy().astype(np.intp)]
        return Detections(places, boxes.conf.cpu().numpy().astype(np.float32), classes)


def _trained_size(noted: object) -> tuple[int, int]:
    """Width and height from what weights note of their training: one side, or height and width; 640 if nothing."""
    sides = noted if isinstance(noted, list | tuple) and len(noted) == 2 else (noted, noted)
    height, width = (side if isinstance(side, int) and side >= CELL else _USUAL for side in sides)
    return -(-width // CELL) * CELL, -(-height // CELL) * CELL


def first_line(error: Exception) -> str:
    """What an error of ultralytics' says, without the pages of advice that follow."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"^ERROR[^\w/]*", "", first)[:200].rstrip(" .")


def load_ultralytics(*, may_fetch: bool = False) -> Any:
    """The YOLO class, imported with everything off that talks to the network.

    Args:
        may_fetch: let it fetch weights it is asked for by name; the first import in a process decides.

    Raises:
        DetectorError: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ[name] = "false" if may_fetch and name == "YOLO_OFFLINE" else value
    try:
        from ultralytics import YOLO, settings
    except ImportError as error:
        raise DetectorError(_MISSING) from error
    if settings.get("sync", False):
        settings.update({"sync": False})  # its telemetry, on by default
    return YOLO
