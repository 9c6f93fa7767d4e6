"""Networks run by OpenCV, which every box has: slower than the others, and nothing more to install."""

from pathlib import Path

import cv2
import numpy as np

from edge.detectors.runtimes import Floats, Network, cannot_run
from edge.opencv import prepare_opencv


def load(content: bytes, model: Path, size: tuple[int, int], threads: int) -> Network:  # noqa: ARG001 - see below
    """Make a network ready to run; see `edge.detectors.runtimes.load`.

    OpenCV has one number of threads for the whole process, which is not a detector's to set: `threads` is not heeded.
    """
    prepare_opencv()
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    except cv2.error as error:
        raise cannot_run(model, "opencv", error) from error

    def run(blob: Floats) -> Floats:
        try:
            net.setInput(blob)
            return np.asarray(net.forward(), np.float32)
        except cv2.error as error:
            raise cannot_run(model, "opencv", error) from error

    return run
