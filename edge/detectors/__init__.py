"""The detectors, by name, each imported only when it is asked for.

A box without onnxruntime, and every box without ultralytics, must still start: so nothing here imports a detector
before someone names it, and what is wrong with a model (missing, damaged, of another kind) is said before the camera
is opened, not at the first customer.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.detectors.errors import DetectorError
from edge.models import Detector, Mounting

if TYPE_CHECKING:
    from edge.detectors.trained import Finder
    from edge.settings import CameraSettings

__all__ = ["NAMES", "DetectorError", "detector_for", "make_detector"]

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
    name: str,
    *,
    mounting: Mounting,
    model: Path | None = None,
    confidence: float | None = None,
    runtime: str = "auto",
    threads: int = 1,
    gate: bool = True,
    fusion: bool = True,
) -> Detector:
    """Make a detector.

    Args:
        name: `auto` (see `choose`), `motion` (no weights), `onnx` (YOLOX or YOLO exported to ONNX) or `yolo`
            (ultralytics, extra `yolo`).
        mounting: how the camera looks; motion finds people of other shapes from above.
        model: the weights, for `onnx` and `yolo`.
        confidence: the least score a box needs, 0 to 1; each detector has its own default. `motion` takes none.
        runtime: what runs an `onnx` model: see `edge.detectors.runtimes`.
        threads: processor threads an `onnx` model may use for a picture.
        gate: run a trained network only when the picture changed (see `edge.detectors.gate`), and pass over pictures
            that rest with `motion` (see `edge.detectors.stillness`); otherwise every picture is looked at.
        fusion: hold a trained network's boxes against what moves; see `edge.detectors.fusion`.

    Raises:
        DetectorError: unknown name, no or bad model, or a package is missing; the text says what to do.
    """
    if name == "auto":
        name = choose(mounting, model)
    if name == "motion":
        from edge.detectors.motion import MotionDetector, MotionParams

        return MotionDetector(mounting=mounting, params=None if gate else MotionParams.watchful(mounting))
    if name not in NAMES:
        raise DetectorError(f"There is no detector '{name}'. Choose one of {', '.join(NAMES)}.")
    if model is None:
        raise DetectorError(
            f"Detector '{name}' needs a model file. Give one with --model (or `model` in edge.toml), "
            "or use the detector 'motion', which needs none."
        )
    from edge.detectors.trained import TrainedDetector

    finder: Finder
    if name == "onnx":
        from edge.detectors.onnx import OnnxFinder

        finder = OnnxFinder(model, confidence=confidence, runtime=runtime, threads=threads)
    else:
        from edge.detectors.yolo import YoloFinder

        finder = YoloFinder(model, confidence=confidence)
    return TrainedDetector(finder, mounting=mounting, gate=gate, fusion=fusion)


def detector_for(camera: "CameraSettings") -> Detector:
    """The detector of a camera as it is set.

    Raises:
        DetectorError: see `make_detector`.
    """
    return make_detector(
        camera.detector,
        mounting=camera.mounting,
        model=Path(camera.model) if camera.model else None,
        confidence=camera.confidence,
        runtime=camera.runtime,
        threads=camera.threads,
        gate=camera.gate,
        fusion=camera.fusion,
    )
