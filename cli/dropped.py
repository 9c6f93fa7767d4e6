"""A folder into which a till drops its files.

The traps: a file is there from its first byte on, long before its last; a program that dies in between leaves half a
file that never changes again; and one taken but not moved is taken again for ever. So a file must have lain unchanged
for a while, what is known is passed over when it comes again, and a file leaves the folder only once it was brought in.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.errors import DoorlineError, Unavailable

if TYPE_CHECKING:
    from server.access.models import Scope
    from server.sales.formats import TillFormat
    from server.sales.importing import ImportService

_KINDS: Final = frozenset({".csv", ".txt", ".tsv", ".xlsx"})

#: Size and time of last change: a file that has the same as before was not written to.
_Shape = tuple[int, int]


class Dropped:
    """Takes files out of a folder.

    Args:
        settle: seconds a file must have lain unchanged before it is taken, by its own time and by ours.
        tell: is told what became of each file, in a line.
        now: seconds of a clock that never goes back.

    Attributes:
        failed: how many were not taken whole.
    """

    def __init__(
        self,
        imports: "ImportService",
        scope: "Scope",
        folder: Path,
        store_id: str,
        form: "TillFormat",
        *,
        settle: float,
        tell: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._imports = imports
        self._scope = scope
        self._folder = folder
        self._store_id = store_id
        self._form = form
        self._settle = settle
        self._tell = tell
        self._now = now
        self._seen: dict[Path, tuple[_Shape, float]] = {}
        self.failed = 0

    def look(self) -> int:
        """Take every file that is whole; how many were taken. While the database is away they wait."""
        taken = 0
        names = sorted(path for path in self._folder.iterdir() if _is_meant(path))
        self._seen = {path: seen for path, seen in self._seen.items() if path in names}
        for path in names:
            if not self._is_whole(path):
                continue
            try:
                self._take(path)
            except Unavailable as error:
                self._tell(f"{path.name}: waits: {error.message}")
                break
            except OSError as error:
                self._tell(f"{path.name}: waits: {error.strerror or error}")
                continue
            taken += 1
        return taken

    def _is_whole(self, path: Path) -> bool:
        """Whether it has lain unchanged for long enough: as far as we saw, because its own time may be of a till whose
        clock is wrong, or be kept from before by whatever copied it."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        shape, now = (stat.st_size, stat.st_mtime_ns), self._now()
        known = self._seen.get(path)
        if known is None or known[0] != shape:
            self._seen[path] = (shape, now)
            known = self._seen[path]
        return stat.st_size > 0 and now - known[1] >= self._settle

    def _take(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                result = self._imports.run(self._scope, self._store_id, stream, self._form, name=path.name)
        except Unavailable:
            raise
        except DoorlineError as error:
            self.failed += 1
            aside = _aside(path, "failed")
            aside.with_name(f"{aside.name}.reason.txt").write_text(
                f"{error.message}\n{error.remedy or ''}\n", encoding="utf-8"
            )
            self._tell(f"{path.name}: failed: {error.message}")
            return
        told = (
            f"{path.name}: {result.rows:,} rows, {result.receipts:,} receipts: {result.accepted:,} new,"
            f" {result.repeated:,} known, {result.conflicts:,} in conflict, {result.rejected:,} refused"
        )
        if not result.error_count:
            _aside(path, "done")
            self._tell(told)
            return
        from server.files.correction_files import kind_of

        self.failed += 1
        aside = _aside(path, "failed")
        errors = aside.with_name(f"{aside.stem}.errors.{kind_of(result.encoding == 'xlsx')}")
        with errors.open("wb") as out:
            for part in self._imports.refused_file(self._scope, result.import_id):
                out.write(part)
        self._tell(f"{told}; rows to correct: {errors}")


def _is_meant(path: Path) -> bool:
    """Whether a till is done with it as far as its name says."""
    return path.suffix.lower() in _KINDS and not path.name.startswith((".", "~")) and path.is_file()


def _aside(path: Path, folder: str) -> Path:
    """Move a file into a folder beside it, under a name that is free there."""
    place = path.parent / folder
    place.mkdir(exist_ok=True)
    free = place / path.name
    number = 1
    while free.exists() or any(free.with_name(f"{free.stem}.errors.{kind}").exists() for kind in ("csv", "xlsx")):
        number += 1
        free = place / f"{path.stem}-{number}{path.suffix}"
    return path.rename(free)
