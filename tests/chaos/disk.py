"""A box's disk that can fill up, become read-only, and lose what was never flushed.

A power cut keeps what was flushed and nothing else. So the disk is a file system of its own in an image file, mounted
over a loop device: what the kernel still holds in memory has not reached the image, and a copy of the image, mounted
anew, is the disk as it was when the current failed. That takes root and loop devices; elsewhere a plain folder stands
in, whose faults are imitated (a limit on the size of files; a torn end on the log), and that is said.
"""

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final, Protocol

_MEGABYTES: Final = 12


class Disk(Protocol):
    """Where an outbox lies. Faults that need the box dead say so."""

    @property
    def outbox(self) -> Path:
        """The outbox's file."""
        ...

    def power_cut(self) -> None:
        """Lose what was never flushed. The box is dead."""
        ...

    def fill(self, pid: int) -> None:
        """Take nothing more from box `pid`."""
        ...

    def free(self, pid: int) -> None:
        """Take it again."""
        ...

    def read_only(self) -> None:
        """Let nothing be written. The box is dead."""
        ...

    def writable(self) -> None:
        """Let it be written again; also with a box that came up meanwhile."""
        ...

    def close(self) -> None:
        """Be gone."""
        ...


class LoopDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk-0.img"
        self._cuts = 0
        self._mounted = folder / "disk"
        self._mounted.mkdir(parents=True)
        self._ballast = self._mounted / "ballast"
        self._full = False
        with self._image.open("wb") as file:
            file.truncate(_MEGABYTES * 2**20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", self._image)
        self._mount()

    @property
    def outbox(self) -> Path:
        return self._mounted / "outbox.db"

    def power_cut(self) -> None:
        self._cuts += 1
        after = self._folder / f"disk-{self._cuts}.img"
        _run("cp", "--sparse=always", self._image, after)
        self._unmount()  # flushes to the image that is given up
        self._image.unlink()
        self._image = after
        self._mount()
        if not self._full:  # whoever made room did so for good, flushed or not
            self._ballast.unlink(missing_ok=True)

    def fill(self, pid: int) -> None:
        self._full = True
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 4096, 512):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def free(self, pid: int) -> None:
        self._full = False
        self._ballast.unlink(missing_ok=True)

    def read_only(self) -> None:
        _run("mount", "-o", "remount,ro", self._mounted)

    def writable(self) -> None:
        _run("mount", "-o", "remount,rw", self._mounted)

    def close(self) -> None:
        self._unmount()
        self._image.unlink()

    def _mount(self) -> None:
        # No write of its own accord within a run: what survives is what was flushed.
        _run("mount", "-o", "loop,commit=300", self._image, self._mounted)

    def _unmount(self) -> None:
        _run("umount", self._mounted)


class FolderDisk:
    """A folder, and faults that are imitated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "disk"
        self._folder.mkdir(parents=True)

    @property
    def outbox(self) -> Path:
        return self._folder / "outbox.db"

    def power_cut(self) -> None:
        log = self.outbox.with_name("outbox.db-wal")
        if log.exists():
            # Half a page that was never committed, as a log torn off in the middle of a write has it.
            with log.open("ab") as file:
                file.write(os.urandom(2000))

    def fill(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def read_only(self) -> None:
        self._folder.chmod(0o555)
        for part in self._folder.iterdir():
            part.chmod(0o444)

    def writable(self) -> None:
        self._folder.chmod(0o755)
        for part in self._folder.iterdir():
            part.chmod(0o644)

    def close(self) -> None:
        self.writable()


def mounts_here(folder: Path) -> bool:
    """Whether a file system of one's own can be mounted on this machine."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return False
    trial = folder / "trial"
    try:
        LoopDisk(trial).close()
    except (subprocess.CalledProcessError, OSError):
        return False
    return True


def make_disk(folder: Path, *, mounts: bool) -> Disk:
    """A disk in `folder`."""
    return LoopDisk(folder) if mounts else FolderDisk(folder)


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
