"""Files that appear whole or not at all.

A count that is stopped half way, or a disk that fills up, must not leave a file that looks like a result, nor destroy
the one that was there. So it is written beside its place under another name, and put there when it is complete.
"""

import contextlib
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


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put this in the place of what a file holds, or make it, in one step that a power cut does not undo.

    Args:
        path: the file; what a link points to is replaced, not the link.
        content: all of it.
        mode: of a file that is made. One that is there keeps its mode and owner: there may be a password in it.

    Raises:
        OSError: it can't be written; what was there is there still.
    """
    place = path.resolve()
    was = place.stat() if place.exists() else None
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if was is not None and (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(draft, was.st_uid, was.st_gid)
        draft.chmod(mode if was is None else was.st_mode & 0o7777)
        draft.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is what is to be told
            draft.unlink()
        raise
    sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that names given or taken away in it last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
