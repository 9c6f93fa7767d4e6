"""Files that appear whole or not at all.

A count that is stopped half way, or a disk that fills up, must not leave a file that looks like a result, nor destroy
the one that was there. So it is written beside its place under another name, and put there when it is complete.
"""

import os
from pathlib import Path
from types import TracebackType


class UnwritableError(Exception):
    """A file can't be written; the text says which and why."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} can't be written: {error.strerror or error}")


class PartFile:
    """A file being written, as a context manager: left normally it takes its place, with an error it vanishes.

    A device or a pipe has no place to be put in, so it is written to directly.

    Args:
        path: where the file shall be.

    Attributes:
        writing: where to write until then; has the same suffix.

    Raises:
        UnwritableError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._direct = path.exists() and not path.is_file()
        self.writing = path if self._direct else path.with_name(f"{path.stem}.part{os.getpid()}{path.suffix}")
        if not self._direct:
            try:
                if path.exists():
                    path.open("ab").close()  # a file that is write-protected is not to be replaced either
                self.writing.touch()
            except OSError as error:
                raise UnwritableError(path, error) from error

    def keep(self) -> None:
        """It is complete: put it in its place."""
        if not self._direct:
            self.writing.replace(self._path)

    def drop(self) -> None:
        """It will not be complete: leave nothing of it."""
        if not self._direct:
            self.writing.unlink(missing_ok=True)

    def __enter__(self) -> Path:
        return self.writing

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.keep()
        else:
            self.drop()
