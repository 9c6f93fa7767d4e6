"""How many records are in memory alone while the disk takes none, written where a full disk still takes it.

What no disk took when a box stops or is killed is lost, and whoever starts next would not know that there was anything.
So the number stands in a small file of its own, made while there was room and overwritten in its place, for which a
full disk needs none. The trap is a number that is believed twice, or after its records were written after all:
so each time of trouble has a mark, which goes into the outbox with the records that ended it. A disk that takes
nothing at all, not even that, leaves the log and the last status.
"""

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from edge import partfile

log = logging.getLogger(__name__)

_LENGTH: Final = 64
_NOTHING: Final = (0, 0)


class Unwritten:
    """The number of one outbox. Not thread-safe: the outbox holds its lock around every call.

    Attributes:
        earlier: how many an earlier run left in memory, and the mark of that trouble; zeros where it left none, and
            once they are taken over.
        mark: of the trouble under way; 0 while there is none.
    """

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(f"{outbox.name}.unwritten")
        self.earlier = self._told()
        self.mark = 0
        self._number = 0

    def prepare(self) -> None:
        """Make the file, while the disk takes it."""
        if not self._path.exists():
            try:
                partfile.replace(self._path, _line(*_NOTHING), 0o600)
            except OSError as error:
                log.debug("outbox: %s can't be made: %s", self._path, error)

    def take_over(self) -> None:
        """What an earlier run left is stated in the outbox now."""
        if self.earlier != _NOTHING:
            self.earlier = _NOTHING
            self._write(self._number, self.mark)

    def note(self, number: int) -> None:
        """So many are in memory alone."""
        if not self.mark:
            self.mark, self._number = secrets.randbits(53) | 1, 0
        if number != self._number and self._write(number + self.earlier[0], self.mark):
            self._number = number

    def settle(self) -> None:
        """They are on disk, with the mark."""
        if self.mark:
            self.mark = self._number = 0
            self._write(*_NOTHING)

    def _told(self) -> tuple[int, int]:
        try:
            words = self._path.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError):
            return _NOTHING
        if len(words) != 2 or not all(word.isdecimal() and len(word) < 19 for word in words):
            return _NOTHING
        return int(words[0]), int(words[1])

    def _write(self, number: int, mark: int) -> bool:
        try:
            # Not made here, and not shortened: a full disk has no room for either.
            handle = os.open(self._path, os.O_WRONLY)
            try:
                os.write(handle, _line(number, mark))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            log.debug("outbox: %s can't be written: %s", self._path, error)
            return False
        return True


def _line(number: int, mark: int) -> bytes:
    return f"{number} {mark}".ljust(_LENGTH - 1).encode() + b"\n"
