"""For how long a picture has been as it is: what was found in one that rests need not be looked for again.

People stand at tables and tills, and most of the day nobody is there. To see that a picture rests costs a thirtieth of
what it costs to look for people in it. The trap is the picture that is shown twice: video of twenty pictures a second
sent as twenty-five repeats every fifth while people walk, and what was found in it by mistake, given again, weighed as
if it had been seen again. So one that is like the last does not rest yet; it must have been like it for a while.
"""

from typing import Final, cast

import cv2

from edge.detectors.pixels import Image

#: Pixels across that are picked out of the picture, and how many of them, each way, make one part: a person far from a
#: camera is some parts high, and the mean of sixteen pixels has a quarter of a sensor's noise.
_PICKED: Final = 128
_PART: Final = 4
#: Grey levels by which the mean of a part must change, in any colour, in a well lit picture: somebody before a wall
#: who moves by a fifth of a part's width.
_CHANGE: Final = 10.0


class Stillness:
    """Holds each picture against the one that was looked at last."""

    def __init__(self) -> None:
        self._looked: Image | None = None
        self._now: Image | None = None
        self._changed_s = 0.0

    def lasts(self, image: Image, time_s: float, exposure: float) -> float:
        """For how long (seconds) the picture has been as it is; 0 for one that has changed, or is of another size.

        Args:
            image: BGR uint8, shape (h, w, 3).
            time_s: of the frame, on the stream's clock.
            exposure: brightness of the scene, where 1 is well lit; a change in grey levels goes with it.
        """
        now = self._now = _parts(image)
        looked = self._looked
        if looked is None or looked.shape != now.shape or _differ(now, looked, _CHANGE * exposure):
            self._changed_s = time_s
        return time_s - self._changed_s

    def looked(self) -> None:
        """The last picture was looked at: later ones are held against it."""
        self._looked = self._now


def _parts(image: Image) -> Image:
    """Mean colours of the picture's parts, from pixels that are picked evenly: to read all of them takes too long."""
    height, width = image.shape[:2]
    columns = min(_PICKED, width) // _PART
    rows = max(1, round(columns * height / width))
    picked = cv2.resize(image, (columns * _PART, rows * _PART), interpolation=cv2.INTER_NEAREST)
    return cast("Image", cv2.resize(picked, (columns, rows), interpolation=cv2.INTER_AREA))


def _differ(one: Image, other: Image, by: float) -> bool:
    """Whether any colour of any part does."""
    return cv2.norm(one, other, cv2.NORM_INF) > by
