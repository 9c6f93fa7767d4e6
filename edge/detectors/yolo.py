"""People found by ultralytics' own runtime: for machines with a graphics card, and for trying out weights.

Optional, and AGPL-3.0, which binds whoever offers a service with it; a box in a shop exports the same weights to ONNX
and needs neither it nor torch (detector `onnx`). Left to itself, ultralytics installs packages, fetches weights and
reports usage: none of that may happen on a shop's network, so it is switched off before the import reads it.
"""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.detectors.errors import DetectorError
from edge.models import Boxes, Detections, Frame

_SETTINGS: Final = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
_MISSING: Final = (
    "The detector 'yolo' needs ultralytics, which is not installed: pip install 'doorline[yolo]' "
    "(ultralytics is licensed under AGPL-3.0, unlike Doorline). Or export the weights to ONNX and use 'onnx'."
)


class YoloDetector:
    """Finds people with an ultralytics model.

    Args:
        model: weights (.pt), a description (.yaml, untrained) or an exported model ultralytics can run.
        confidence: the least score, 0 to 1.
        size: longer side to which pictures are brought (pixels, a multiple of 32).

    Raises:
        DetectorError: ultralytics or the model is missing, or the model can't be loaded or knows no people.
    """

    def __init__(self, model: Path, *, confidence: float = 0.15, size: int = 640) -> None:
        if not model.exists():
            raise DetectorError(f"There is no model file {model}. Check the path; none is fetched from the network.")
        self._confidence, self._size = confidence, size
        yolo = _ultralytics()
        try:
            self._model = yolo(str(model), task="detect")
            names: dict[int, str] = dict(self._model.names)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, ImportError, EOFError) as error:
            raise DetectorError(f"Model {model} can't be loaded by ultralytics: {error}") from error
        person = next((number for number, name in names.items() if str(name).lower() == "person"), None)
        if person is None and len(names) > 1:
            raise DetectorError(f"Model {model} knows no people; use one trained with a class 'person'.")
        self._person = 0 if person is None else person
        self.detect(Frame(0, 0.0, np.zeros((64, 64, 3), np.uint8)), np.empty((0, 4), np.float32))

    def detect(self, frame: Frame, held: Boxes) -> Detections:  # noqa: ARG002 - a trained network learns nothing
        """Find people; boxes in fractions of the frame, best first."""
        try:
            result = self._model.predict(
                frame.image, conf=self._confidence, classes=[self._person], imgsz=self._size, verbose=False
            )[0]
        except (RuntimeError, ValueError, TypeError) as error:
            raise DetectorError(f"ultralytics failed on a picture: {error}") from error
        boxes = np.clip(result.boxes.xyxyn.cpu().numpy(), 0.0, 1.0).astype(np.float32).reshape(-1, 4)
        return Detections(boxes, result.boxes.conf.cpu().numpy().astype(np.float32))


def _ultralytics() -> Any:
    """The YOLO class, imported with everything off that talks to the network."""
    for name, value in _SETTINGS.items():
        os.environ[name] = value
    try:
        from ultralytics import YOLO, settings
    except ImportError as error:
        raise DetectorError(_MISSING) from error
    if settings.get("sync", False):
        settings.update({"sync": False})  # its telemetry, on by default
    return YOLO
