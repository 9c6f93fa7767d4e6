"""What runs a network, by name, each imported only when it is asked for.

A box has one runtime installed, rarely two, and a missing one must be said with its remedy before the camera starts. So
nothing here imports a runtime before someone names it. They are interchangeable by contract, a blob in and the first
answer out, and are held to it: the same picture has to give the same boxes in all of them. An ONNX model is for all of
them, one in OpenVINO's own form for OpenVINO alone.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.detectors.errors import DetectorError
from edge.detectors.irfile import SUFFIX

__all__ = ["AUTO", "NAMES", "Floats", "Network", "choose", "fit_for", "installed", "load"]

Floats = NDArray[np.float32]
#: A picture as a blob of shape (1, 3, height, width) in, the network's first answer out.
Network = Callable[[Floats], Floats]

AUTO: Final = "auto"
#: Every runtime, in the order in which `auto` takes them; OpenCV is always there.
NAMES: Final = ("onnxruntime", "openvino", "opencv")
_MODULES: Final = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
_EXTRAS: Final = {"onnxruntime": "onnx", "openvino": "openvino", "opencv": "edge"}


def installed() -> tuple[str, ...]:
    """The runtimes this machine has, in the order of `NAMES`."""
    return tuple(name for name in NAMES if importlib.util.find_spec(_MODULES[name]) is not None)


def fit_for(model: Path) -> tuple[str, ...]:
    """The runtimes that can run such a model, installed or not, in the order of `NAMES`."""
    return ("openvino",) if model.suffix == SUFFIX else NAMES


def choose(wanted: str, model: Path | None = None) -> str:
    """The runtime that will be used.

    Args:
        wanted: one of `NAMES`, or `auto` for the first of them that is installed and can run the model.
        model: what shall be run; an .onnx file when left out.

    Raises:
        DetectorError: there is no such runtime, it is not installed, or can't run the model; the text says what to do.
    """
    here = installed()
    if wanted not in (AUTO, *NAMES):
        raise DetectorError(f"There is no runtime '{wanted}'. Choose one of {', '.join((AUTO, *NAMES))}.")
    if model is not None and model.suffix == SUFFIX:
        return _for_openvino_alone(wanted, model)
    if wanted == AUTO:
        return here[0]
    if wanted not in here:
        raise DetectorError(
            f"The runtime {wanted} is not installed: pip install 'doorline[{_EXTRAS[wanted]}]'. "
            f'Or set runtime = "auto", which here means {here[0]}.'
        )
    return wanted


def _for_openvino_alone(wanted: str, model: Path) -> str:
    """OpenVINO, or why its own form of a model can't be run."""
    if wanted not in (AUTO, "openvino"):
        raise DetectorError(
            f"Model {model} is in OpenVINO's form, which {wanted} can't run. Set runtime = \"openvino\", or give the "
            ".onnx model it was made from."
        )
    if "openvino" not in installed():
        raise DetectorError(
            f"Model {model} is in OpenVINO's form, and OpenVINO is not installed: pip install 'doorline[openvino]'. "
            "Or give the .onnx model it was made from, which every runtime can run."
        )
    return "openvino"


def load(runtime: str, content: bytes, model: Path, *, size: tuple[int, int], threads: int) -> Network:
    """Make a network ready to run.

    Args:
        runtime: as `choose` gave it.
        content: the model file's bytes.
        model: its path, for messages; OpenVINO finds there what belongs to a model in its own form.
        size: height and width of the pictures it will be given, in pixels.
        threads: processor threads one picture may use.

    Raises:
        DetectorError: the runtime refuses the model; the returned network raises it, too.
    """
    maker = _maker(runtime)
    return maker(content, model, size, threads)


def _maker(runtime: str) -> Callable[[bytes, Path, tuple[int, int], int], Network]:
    if runtime == "onnxruntime":
        from edge.detectors.runtimes import with_onnxruntime

        return with_onnxruntime.load
    if runtime == "openvino":
        from edge.detectors.runtimes import with_openvino

        return with_openvino.load
    from edge.detectors.runtimes import with_opencv

    return with_opencv.load


def cannot_run(model: Path, runtime: str, error: Any) -> DetectorError:
    """The error for a model a runtime refuses, with the first line of the runtime's own words."""
    first = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
    return DetectorError(
        f"Model {model} can't be run by {runtime} ({first}). Export it anew with a fixed picture size and opset 12 to "
        "17, or try another runtime."
    )
