"""What time a box may put on a crossing, and when it may not put any.

A wall clock is stepped: by network time a minute after boot, by a person, or it begins in 1970 because the box has no
battery. Reading it for every crossing would reorder them, or date them into another year. So time is counted on the
monotonic clock (seconds since boot, which nothing steps) and tied to UTC by one anchor, which is taken only when the
wall clock can be trusted and moved only when a difference lasts.
"""

import ctypes
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

log = logging.getLogger(__name__)

#: No box made for this software can have lived before; an earlier wall clock is a clock that was never set.
FLOOR: Final = datetime(2026, 1, 1, tzinfo=UTC)
#: A wall clock this far from the anchor is followed once it has stayed there for two checks (seconds).
STEP_S: Final = 0.5
CHECK_EVERY_S: Final = 10.0
_TIME_ERROR: Final = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as the box knows it.

    Attributes:
        uptime: seconds since boot, never stepped.
        at: UTC, or None while the clock can't be trusted.
    """

    uptime: float
    at: datetime | None = None


class Clock(Protocol):
    """What the outbox and the agent need to know of time."""

    @property
    def boot_id(self) -> str:
        """Names the boot that uptimes are counted in."""
        ...

    def uptime(self) -> float:
        """Seconds since boot."""
        ...

    def zero(self) -> datetime | None:
        """UTC at uptime zero, or None while the clock can't be trusted."""
        ...


def moment(clock: Clock) -> Moment:
    """Now, dated when it can be."""
    uptime = clock.uptime()
    zero = clock.zero()
    return Moment(uptime, None if zero is None else zero + timedelta(seconds=uptime))


class SystemClock:
    """The machine's own clocks behind one anchor. Safe to use from any thread."""

    def __init__(
        self,
        *,
        clock_battery: bool = True,
        floor: datetime = FLOOR,
        wall: Callable[[], float] = time.time,
        uptime: Callable[[], float] | None = None,
        synchronised: Callable[[], bool] | None = None,
    ) -> None:
        """Take the anchor at once if the wall clock can be trusted.

        Args:
            clock_battery: False trusts the wall clock only once the kernel says that network time has set it.
            floor: a wall clock earlier than this was never set.
            wall, uptime, synchronised: the machine's, unless a test says otherwise.
        """
        self.boot_id = _boot_id()
        self._clock_battery = clock_battery
        self._floor = floor.timestamp()
        self._wall = wall
        self._uptime = uptime or _uptime
        self._synchronised = synchronised or is_synchronised
        self._lock = threading.Lock()
        self._zero: float | None = None
        self._offered: float | None = None
        self._next_check = 0.0
        self._check()

    def uptime(self) -> float:
        """Seconds since boot; time asleep is counted where the system can tell."""
        return self._uptime()

    def zero(self) -> datetime | None:
        """UTC at uptime zero; None until the wall clock can be trusted."""
        with self._lock:
            if self._uptime() >= self._next_check:
                self._check()
            return None if self._zero is None else datetime.fromtimestamp(self._zero, UTC)

    def _check(self) -> None:
        """Compare the wall clock with the anchor; take or move the anchor if it is time to."""
        uptime, wall = self._uptime(), self._wall()
        # Until it is anchored every look may be the first good one.
        self._next_check = uptime + (CHECK_EVERY_S if self._zero is not None else 0.0)
        if wall < self._floor or not (self._clock_battery or self._synchronised()):
            return
        found = wall - uptime
        if self._zero is None:
            self._zero = found
            log.info("clock: trusted, it is %s", datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"))
            return
        if abs(found - self._zero) < STEP_S:
            self._offered = None
            return
        if self._offered is None or abs(found - self._offered) >= STEP_S:
            self._offered = found
            return
        log.warning("clock: stepped by %+.1f s and stayed there; following it", found - self._zero)
        self._zero, self._offered = found, None


def _uptime() -> float:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Where no boot has a name, each process is a boot of its own: uptimes are then never compared across two.
        return uuid.uuid4().hex


def is_synchronised() -> bool:
    """Whether the Linux kernel says that its clock is kept by network time; elsewhere the clock is believed."""
    if not sys.platform.startswith("linux"):
        return True
    buffer = ctypes.create_string_buffer(512)  # struct timex, all zero: read only
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(buffer))
    return 0 <= state < _TIME_ERROR
