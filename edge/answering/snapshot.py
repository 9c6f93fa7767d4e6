"""A picture that may leave the shop: small, within a size, and nobody in it can be recognised. Pure.

It is made small first and unrecognisable then, because the blocks are a share of its height: the other way round they
would be blended again.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models import Boxes
from edge.pictures.privacy import veiled
from wire.asking import MAX_PICTURE

Image = NDArray[np.uint8]
#: Qualities of JPEG to try until it is small enough; after the last, the picture is made smaller.
_QUALITIES: Final = (85, 70, 55)
#: People may be anywhere, for it is not known yet where they are: all of the picture is made as coarse as they are.
EVERYWHERE: Final[Boxes] = np.asarray([[0.0, 0.0, 1.0, 1.0]], np.float32)


def snapshot(image: Image, people: Boxes, width: int, *, most: int = MAX_PICTURE) -> tuple[bytes, tuple[int, int]]:
    """A picture as JPEG, and its width and height in pixels.

    Args:
        image: BGR, uint8, shape (height, width, 3).
        people: where people are, shape (n, 4), fractions of the frame.
        width: of the result at most (pixels).
        most: bytes of the result at most.

    Raises:
        ValueError: it can't be written, or not as small as that.
    """
    while width >= 1:
        shown = veiled(_shrunk(image, width), people)
        for quality in _QUALITIES:
            written, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not written:
                raise ValueError("the picture can't be written as JPEG")
            if data.size <= most:
                return data.tobytes(), (shown.shape[1], shown.shape[0])
        width = shown.shape[1] // 2
    raise ValueError(f"no picture of at most {most} bytes can be made of it")


def _shrunk(image: Image, width: int) -> Image:
    height, wide = image.shape[:2]
    if wide <= width:
        return image
    size = (width, max(1, round(height * width / wide)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
