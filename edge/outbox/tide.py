"""How many records can be unsent at most, kept beside the outbox for the day the outbox itself can't be read.

A file damaged beyond reading tells nothing, not even what went with it. So a bound stands in a small file of its
own, always at or above the truth: it is raised before records are written, some hundred at a time so that a memory card
hardly notices, and lowered when much was acknowledged. Ended in good order, a box leaves the exact number.
"""

import contextlib
import logging
from pathlib import Path
from typing import Final

from edge import partfile

log = logging.getLogger(__name__)

#: Raised by this much at once, and lowered when it is this many times too high.
_STEP: Final = 200
_SLACK: Final = 4


class Tide:
    """The bound of one outbox. Not thread-safe: the outbox holds its lock around every call."""

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(f"{outbox.name}.owed")
        self._bound: int | None = None

    def told(self) -> int | None:
        """The bound an earlier run left; None where there is none, or none that can be read."""
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return int(text) if text.isdecimal() and len(text) < 19 else None

    def rise(self, owed: int) -> None:
        """So many records are about to be unsent."""
        if self._bound is None or owed > self._bound:
            self._write(owed + _STEP)

    def ebb(self, owed: int) -> None:
        """So many are unsent now."""
        if self._bound is not None and self._bound > owed + _SLACK * _STEP:
            self._write(owed + _STEP)

    def settle(self, owed: int) -> None:
        """The outbox is being closed with so many."""
        if self._bound != owed:
            self._write(owed)

    def _write(self, bound: int) -> None:
        try:
            partfile.replace(self._path, f"{bound}\n".encode(), 0o600)
            self._bound = bound
        except OSError as error:
            # A bound that can't be raised is none.
            log.debug("outbox: %s can't be written: %s", self._path, error)
            self._bound = None
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
