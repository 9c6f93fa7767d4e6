"""When each picture of a recording was taken, as its container says, where that can be believed.

A recording of a camera that left pictures out has a rate in its header and gaps in between; timed by the pictures'
numbers it runs fast, and everything in it is dated wrong. But a container's stamps have faults of their own, all
met in real files: none at all (0 for every picture), none for the last ones out of the decoder, a first one that is
negative because it is the decoder's and not the picture's, and jumps where a counter ran over. Pure.
"""

import math
from typing import Final

#: A longer pause between two pictures (seconds) is taken for a counter that jumped.
LONGEST_PAUSE_S: Final = 600.0
#: Stamps so little behind (seconds) are pictures out of order, not a counter that began anew.
_SHUFFLED_S: Final = 0.25

#: No two pictures are nearer to each other (seconds).
_LEAST_S: Final = 1e-4


class Stamps:
    """A clock that begins at 0 and only ever goes on, by the stamps where they are sane, else by the rate.

    Args:
        fps: pictures a second, as the header says.
    """

    def __init__(self, fps: float) -> None:
        self._frame_s = 1.0 / fps
        self._stamp = 0.0
        self._time = -1.0

    def read(self, stamp_ms: float) -> float:
        """The time of the next picture.

        Args:
            stamp_ms: as the container states it (milliseconds); anything, even NaN.

        Returns:
            Seconds since the first picture, more than the last returned.
        """
        stamp = stamp_ms / 1000.0
        if self._time < 0:
            self._time, self._stamp = 0.0, stamp if math.isfinite(stamp) else 0.0
            return 0.0
        step = stamp - self._stamp
        if not math.isfinite(step) or stamp == 0.0:
            return self._go_on(self._frame_s)
        if step > LONGEST_PAUSE_S or step < -_SHUFFLED_S:
            self._time, self._stamp = self._time + self._frame_s, stamp
            return self._time
        if self._time == 0.0 and self._stamp < 0.0:
            # The first picture's stamp was the decoder's, some pictures early; the second's is sound.
            self._time, self._stamp = self._frame_s, stamp
            return self._time
        if step < _LEAST_S:
            # Half a picture, so that stamps in order again soon catch up.
            return self._go_on(self._frame_s / 2)
        self._time, self._stamp = self._time + step, stamp
        return self._time

    def _go_on(self, seconds: float) -> float:
        """Without a stamp; the next sane one is understood as if this one had been."""
        self._time += seconds
        self._stamp += seconds
        return self._time
