"""A constant-velocity Kalman filter for one box, for frames that come at uneven intervals.

Cameras drop frames and files differ in rate, so the time step is given with each prediction and the process noise is
the continuous white-noise-acceleration model, which means the same at 5 and at 30 frames a second. The four axes are
independent, the centre's two are equally uncertain, and so are width and height: two 2x2 covariances do for all. Plain
numbers, not arrays: for the few people in a picture, the arithmetic is a hundredth of what an array costs to make.
"""

from typing import Final

#: Centre x, centre y, width and height of a box, in frame heights.
Centred = tuple[float, float, float, float]


class _Spread:
    """Covariance of a position and its velocity, shared by two axes that are measured alike."""

    __slots__ = ("pp", "pv", "vv")

    def __init__(self, position: float, velocity: float) -> None:
        self.pp: float = position * position
        self.pv: float = 0.0
        self.vv: float = velocity * velocity

    def predict(self, dt: float, agility: float) -> None:
        q = agility * agility
        self.pp += 2 * dt * self.pv + dt * dt * self.vv + q * dt**3 / 3
        self.pv += dt * self.vv + q * dt * dt / 2
        self.vv += q * dt

    def correct(self, spread: float) -> tuple[float, float]:
        """Take in that something was measured so exactly; gains of position and velocity."""
        total = self.pp + spread * spread
        gain, gain_v = self.pp / total, self.pv / total
        self.vv -= gain_v * self.pv
        self.pv *= 1 - gain
        self.pp *= 1 - gain
        return gain, gain_v


class BoxFilter:
    """Position and velocity of a box's centre and size.

    Units are the caller's (the tracker uses frame heights and seconds). Source: Bar-Shalom, Li, Kirubarajan,
    *Estimation with Applications to Tracking and Navigation* (2001), section 6.2.2.

    Args:
        measured: the first measurement.
        spread: its standard deviation, of the centre; a size's is `SIZE_SPREAD` times that.
        velocity: standard deviation of the unknown velocity, of the centre and of the size, per second.

    Attributes:
        state: the box now.
        velocity: of the same, per second.
    """

    __slots__ = ("_centre", "_size", "state", "velocity")

    #: A box's sides waver with arms and legs; its centre less.
    SIZE_SPREAD: Final = 2.0

    def __init__(self, measured: Centred, spread: float, velocity: tuple[float, float]) -> None:
        self.state: Centred = measured
        self.velocity: Centred = (0.0, 0.0, 0.0, 0.0)
        self._centre = _Spread(spread, velocity[0])
        self._size = _Spread(self.SIZE_SPREAD * spread, velocity[1])

    @property
    def spread(self) -> float:
        """Standard deviation of the centre along either axis."""
        return float(self._centre.pp**0.5)

    def ahead(self, dt: float) -> Centred:
        """The state expected `dt` seconds from now, without moving the filter."""
        x, y, w, h = self.state
        vx, vy, vw, vh = self.velocity
        return (x + vx * dt, y + vy * dt, w + vw * dt, h + vh * dt)

    def predict(self, dt: float, agility: tuple[float, float]) -> None:
        """Move on by `dt` seconds.

        Args:
            dt: seconds, not negative.
            agility: square root of the acceleration's spectral density, of the centre and of the size, units per
                second^1.5.
        """
        self.state = self.ahead(dt)
        self._centre.predict(dt, agility[0])
        self._size.predict(dt, agility[1])

    def slow(self, factor: float) -> None:
        """Shrink the velocity: someone out of sight is ever less likely to have walked on straight."""
        vx, vy, vw, vh = self.velocity
        self.velocity = (vx * factor, vy * factor, vw * factor, vh * factor)

    def correct(self, measured: Centred, spread: float) -> None:
        """Take in a measurement.

        Args:
            measured: the box seen.
            spread: standard deviation of its centre.
        """
        k, kv = self._centre.correct(spread)
        s, sv = self._size.correct(self.SIZE_SPREAD * spread)
        x, y, w, h = self.state
        vx, vy, vw, vh = self.velocity
        dx, dy, dw, dh = measured[0] - x, measured[1] - y, measured[2] - w, measured[3] - h
        self.state = (x + k * dx, y + k * dy, w + s * dw, h + s * dh)
        self.velocity = (vx + kv * dx, vy + kv * dy, vw + sv * dw, vh + sv * dh)
