"""What runs a network, by name, each imported only when it is asked for.

A box has one runtime installed, rarely two, and a missing one must be said with its remedy before the camera starts. So
nothing here imports a runtime before someone names it. They are interchangeable by contract, a blob in and the first
answer out, and are held to it: the same picture has to give the same boxes in all of them.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.detectors.errors import DetectorError

__all__ = ["AUTO", "NAMES", "Floats", "Network", "choose", "installed", "load"]

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


def choose(wanted: str) -> str:
    """The runtime that will be used.

    Args:
        wanted: one of `NAMES`, or `auto` for the first of them that is installed.

    Raises:
        DetectorError: there is no such runtime, or it is not installed; the text says what to do.
    """
    here = installed()
    if wanted == AUTO:
        return here[0]
    if wanted not in NAMES:
        raise DetectorError(f"There is no runtime '{wanted}'. Choose one of {', '.join((AUTO, *NAMES))}.")
    if wanted not in here:
        raise DetectorError(
            f"The runtime {wanted} is not installed: pip install 'doorline[{_EXTRAS[wanted]}]'. "
            f'Or set runtime = "auto", which here means {here[0]}.'
        )
    return wanted


def load(runtime: str, content: bytes, model: Path, *, size: tuple[int, int], threads: int) -> Network:
    """Make a network ready to run.

    Args:
        runtime: as `choose` gave it.
        content: the model file's bytes.
        model: its path, for messages.
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
