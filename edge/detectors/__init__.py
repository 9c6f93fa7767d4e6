"""The detectors, by name, each imported only when it is asked for.

A box without onnxruntime, and every box without ultralytics, must still start: so nothing here imports a detector
before someone names it, and what is wrong with a model (missing, damaged, of another kind) is said before the camera
is opened, not at the first customer.
"""

from pathlib import Path
from typing import Final

from edge.detectors.errors import DetectorError
from edge.models import Detector, Mounting

__all__ = ["NAMES", "DetectorError", "make_detector"]

#: What `make_detector` knows.
NAMES: Final = ("auto", "motion", "onnx", "yolo")


def choose(mounting: Mounting, model: Path | None) -> str:
    """The detector that `auto` stands for: the one that counts best for a mounting with what is there.

    Straight from above trained detectors see next to nothing, so motion counts there whether a model is given or not.
    """
    if mounting == "overhead" or model is None:
        return "motion"
    return "yolo" if model.suffix == ".pt" else "onnx"


def make_detector(
    name: str, *, mounting: Mounting, model: Path | None = None, confidence: float | None = None
) -> Detector:
    """Make a detector.

    Args:
        name: `auto` (see `choose`), `motion` (no weights), `onnx` (YOLOX or YOLO exported to ONNX) or `yolo`
            (ultralytics, extra `yolo`).
        mounting: how the camera looks; motion finds people of other shapes from above.
        model: the weights, for `onnx` and `yolo`.
        confidence: the least score a box needs, 0 to 1; each detector has its own default. `motion` takes none.

    Raises:
        DetectorError: unknown name, no or bad model, or a package is missing; the text says what to do.
    """
    if name == "auto":
        name = choose(mounting, model)
    if name == "motion":
        from edge.detectors.motion import MotionDetector

        return MotionDetector(mounting=mounting)
    if name not in NAMES:
        raise DetectorError(f"There is no detector '{name}'. Choose one of {', '.join(NAMES)}.")
    if model is None:
        raise DetectorError(
            f"Detector '{name}' needs a model file. Give one with --model (or `model` in edge.toml), "
            "or use the detector 'motion', which needs none."
        )
    if name == "onnx":
        from edge.detectors.onnx import OnnxDetector

        return OnnxDetector(model) if confidence is None else OnnxDetector(model, confidence=confidence)
    from edge.detectors.yolo import YoloDetector

    return YoloDetector(model) if confidence is None else YoloDetector(model, confidence=confidence)
