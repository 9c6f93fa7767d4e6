"""A constant-velocity Kalman filter for one box, for frames that come at uneven intervals.

Cameras drop frames and files differ in rate, so the time step is given with each prediction and the process noise is
the continuous white-noise-acceleration model, which means the same at 5 and at 30 frames a second. The four axes
(centre x, centre y, width, height) are independent, so each keeps a 2x2 covariance instead of one 8x8 matrix.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class BoxFilter:
    """Position and velocity of a box's centre and size.

    Units are the caller's (the tracker uses frame heights and seconds). Source: Bar-Shalom, Li, Kirubarajan,
    *Estimation with Applications to Tracking and Navigation* (2001), section 6.2.2.

    Attributes:
        state: centre x, centre y, width, height; shape (4,).
        velocity: of the same, per second; shape (4,).
    """

    def __init__(self, measured: Vector, spread: Vector, velocity_spread: Vector) -> None:
        """Begin at a first measurement.

        Args:
            measured: centre x, centre y, width, height; shape (4,).
            spread: standard deviation of the measurement; shape (4,).
            velocity_spread: standard deviation of the unknown velocity; shape (4,).
        """
        self.state: Vector = measured.astype(np.float64)
        self.velocity: Vector = np.zeros(4)
        self._pp: Vector = spread**2
        self._pv: Vector = np.zeros(4)
        self._vv: Vector = velocity_spread**2

    @property
    def spread(self) -> Vector:
        """Standard deviation of the state, shape (4,)."""
        return np.sqrt(self._pp)

    def ahead(self, dt: float) -> Vector:
        """The state expected `dt` seconds from now, without moving the filter."""
        return self.state + self.velocity * dt

    def predict(self, dt: float, agility: Vector) -> None:
        """Move on by `dt` seconds.

        Args:
            dt: seconds, not negative.
            agility: square root of the acceleration's spectral density, shape (4,), units per second^1.5.
        """
        q = agility**2
        self.state = self.state + self.velocity * dt
        self._pp = self._pp + 2 * dt * self._pv + dt * dt * self._vv + q * dt**3 / 3
        self._pv = self._pv + dt * self._vv + q * dt * dt / 2
        self._vv = self._vv + q * dt

    def slow(self, factor: float) -> None:
        """Shrink the velocity: someone out of sight is ever less likely to have walked on straight."""
        self.velocity = self.velocity * factor

    def correct(self, measured: Vector, spread: Vector) -> None:
        """Take in a measurement.

        Args:
            measured: centre x, centre y, width, height; shape (4,).
            spread: its standard deviation, shape (4,).
        """
        total = self._pp + spread**2
        gain, gain_v = self._pp / total, self._pv / total
        surprise = measured - self.state
        self.state = self.state + gain * surprise
        self.velocity = self.velocity + gain_v * surprise
        self._vv = self._vv - gain_v * self._pv
        self._pv = self._pv * (1 - gain)
        self._pp = self._pp * (1 - gain)
