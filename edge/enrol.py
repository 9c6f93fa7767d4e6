"""`doorline edge enrol`: install the identity that came in one file, whole or not at all.

Key, certificate and authority must change together, and with them a link in the configuration: a power cut between two
of them would leave a box that nobody can reach without driving there. So an identity is a folder that never changes,
looked at as a broker would before it counts, and `identity` is a link to it, moved in one step. What the box was before
is not given up for a file that was meant for its neighbour.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge import identity, partfile, tomledit
from edge.identity import Identity, IdentityError
from edge.outbox.store import CorruptStore, Store, StoreInUse
from wire import enrolment
from wire.enrolment import Enrolment, EnrolmentError

#: The link, beside the configuration, to the folder of the identity in use.
LINK: Final = "identity"
_CERTIFICATE: Final = "device.crt"
_KEY: Final = "device.key"
_AUTHORITY: Final = "ca.crt"
_OURS: Final = re.compile(LINK + r"-[0-9a-f]{12}(\.\d+)?")
#: What a certificate takes the place of.
_OBSOLETE: Final = ("username", "password", "password_file", "tls")

_NEW_CONFIG: Final = """\
# Made by `doorline edge enrol`. What can be set besides: deploy/edge.toml.example.

[device]
clock_battery = true         # false on a box that forgets the time when it is off (a Raspberry Pi)

[broker]

[outbox]
path = {outbox}

# Add each camera with its lines, then try it all: doorline edge check {config}
# [[camera]]
# id = "S01-C1"
# source = "rtsp://192.0.2.10/stream1"
# mounting = "overhead"
#
#   [[camera.line]]
#   id = "S01-L1"
#   start = [0.1, 0.5]
#   end = [0.9, 0.5]
#   inside = [0.5, 0.9]
"""


class EnrolError(Exception):
    """Why nothing was installed, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Installed:
    """What the box is now.

    Attributes:
        new: False when it was that already, and nothing had to be done.
        replaced: the name or certificate it had before, for a person; empty when it had none.
        config: the configuration file.
        config_made: whether that was made; it has no camera yet.
        config_changed: whether an agent that runs has to be started anew to go by it.
    """

    identity: Identity
    new: bool
    replaced: str
    config: Path
    config_made: bool
    config_changed: bool


def enrol(
    file: Path, config: Path, *, replace: bool = False, rename: bool = False, owner: tuple[int, int] | None = None
) -> Installed:
    """Make this box the one that `file` is for.

    Args:
        file: as `doorline device add` or `rotate` wrote it.
        config: the box's `edge.toml`; made when it is not there. The identity goes into its folder.
        replace: also when the box has an identity already.
        rename: also when the box has another name already.
        owner: user and group the identity is given to; the caller's when left out.

    Raises:
        EnrolError: the file is damaged, expired, of a newer Doorline or for another box; the box has an identity
            already; or nothing can be written. Nothing was changed then.
    """
    given = _read(file)
    try:
        text = config.read_text(encoding="utf-8") if config.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolError(f"{config} can't be read ({error})", "Check the path, and run this as its owner") from error
    before = _Before.of(config, text)
    same = before.fingerprint == _fingerprint(given)
    _check_place(given, before, config, replace=replace or same, rename=rename)
    here = _already(config.parent / LINK, given)
    edited = _configuration(config, text, given)
    try:
        found = here or _install(config.parent, given, owner)
        if edited != text:
            partfile.replace(config, edited.encode())
        _forget_others(config.parent)
    except OSError as error:
        raise EnrolError(
            f"{error.filename or config.parent} can't be written ({error.strerror})", "Run this as its owner (sudo)"
        ) from error
    return Installed(found, here is None, "" if same else before.said, config, text is None, edited != text)


def _read(file: Path) -> Enrolment:
    try:
        given = enrolment.decode(file.read_bytes())
    except OSError as error:
        raise EnrolError(f"{file} can't be read ({error.strerror})", "Check the path") from error
    except EnrolmentError as error:
        if error.code == "newer":
            remedy = "It was made by a newer Doorline: upgrade this box first (pip install --upgrade 'doorline[edge]')"
        else:
            remedy = "Copy it again; if that does not help: doorline device rotate, on the server"
        raise EnrolError(f"{file} can't be used: {error}", remedy) from error
    now = datetime.now(UTC)
    if enrolment.expired(given, now):
        raise EnrolError(
            f"{file} has expired on {given.not_after:%Y-%m-%d}, and this box's clock says {now:%Y-%m-%d}",
            f"If the clock is right, make a new one on the server: doorline device rotate {given.device}",
        )
    return given


@dataclass(frozen=True, slots=True)
class _Before:
    """What the box was: name and outbox of its configuration, its certificate's fingerprint; each may be empty."""

    name: str
    fingerprint: str
    outbox: str

    @classmethod
    def of(cls, config: Path, text: str | None) -> "_Before":
        try:
            settings: dict[str, Any] = tomllib.loads(text or "")
        except tomllib.TOMLDecodeError as error:
            raise EnrolError(f"{config} is not valid TOML: {error}", "Mend it first") from error
        file = _value(settings, "broker", "cert_file") or (f"{LINK}/{_CERTIFICATE}")
        try:
            fingerprint = identity.fingerprint_of(config.parent / Path(file).expanduser())
        except OSError:  # `ssl.SSLError` is one: what can't be read as a certificate identifies nobody
            fingerprint = ""
        return cls(_value(settings, "device", "name"), fingerprint, _value(settings, "outbox", "path"))

    @property
    def said(self) -> str:
        """For a person."""
        return (f"{self.name}, certificate {self.fingerprint[:12]}" if self.fingerprint else self.name).strip(", ")


def _value(settings: dict[str, Any], table: str, key: str) -> str:
    section = settings.get(table)
    value = section.get(key, "") if isinstance(section, dict) else ""
    return value if isinstance(value, str) else ""


def _check_place(given: Enrolment, before: _Before, config: Path, *, replace: bool, rename: bool) -> None:
    """Whether the file is for this box, and may take the place of what is there."""
    if before.name and before.name != given.device and not rename:
        raise EnrolError(
            f"this file is for {given.device} (store {given.store}), and this box is {before.name}",
            f"Take the file for {before.name}; if this box is to become {given.device}: --rename",
        )
    if before.fingerprint and not replace and not rename:
        raise EnrolError(
            f"this box has an identity already (certificate {before.fingerprint[:12]})",
            "To put the new one in its place: --replace",
        )
    if before.name and before.name != given.device and before.outbox:
        _check_outbox(config.parent / Path(before.outbox).expanduser(), before.name, given.device)
    link = config.parent / LINK
    if link.exists() and not link.is_symlink():
        raise EnrolError(f"{link} is in the way", "Move it elsewhere; that name is for the identity")


def _check_outbox(outbox: Path, was: str, becomes: str) -> None:
    """A box that takes another name must not take its counts along: they would be booked where the other one stands."""
    if not outbox.exists():
        return
    try:
        with contextlib.closing(Store(outbox)) as store:
            waiting = sum(epoch.last_seq - epoch.acked for epoch in store.epochs())
    except StoreInUse as error:
        raise EnrolError("the agent is running", "Stop it first: systemctl stop doorline-edge") from error
    except (CorruptStore, sqlite3.Error) as error:
        raise EnrolError(f"{outbox} can't be read ({error})", f"Move it away: what it holds is {was}'s") from error
    if waiting:
        raise EnrolError(
            f"{waiting} records of {was} wait in {outbox}, and would be booked as {becomes}'s",
            f"Let them be sent first (doorline edge run), or move the file away and lose them for {was}",
        )


def _configuration(config: Path, text: str | None, given: Enrolment) -> str:
    """The configuration with name and broker of the enrolment."""
    if text is None:
        # What systemd keeps for us lies elsewhere than what it lets us read.
        outbox = "/var/lib/doorline/outbox.sqlite" if Path("/etc") in config.absolute().parents else "outbox.sqlite"
        text = _NEW_CONFIG.format(outbox=f'"{outbox}"', config=config)
    wanted: dict[str, tomledit.Value] = {
        "host": given.host,
        "port": given.port,
        "ca_file": f"{LINK}/{_AUTHORITY}",
        "cert_file": f"{LINK}/{_CERTIFICATE}",
        "key_file": f"{LINK}/{_KEY}",
    }
    try:
        return tomledit.edit(
            text,
            tomledit.Change(("device",), {"name": given.device}),
            tomledit.Change(("broker",), wanted, without=_OBSOLETE),
        )
    except tomledit.EditError as error:
        by_hand = tomledit.fragment("device", {"name": given.device}) + tomledit.fragment("broker", wanted)
        raise EnrolError(
            f"{config} can't be changed safely: {error}",
            f"Write these tables like this, with what else you need in them, and enrol again:\n\n{by_hand}",
        ) from error


def _install(folder: Path, given: Enrolment, owner: tuple[int, int] | None) -> Identity:
    """Write the identity beside its place, look at it, and only then move the link."""
    folder.mkdir(parents=True, exist_ok=True)
    with _staged(folder) as stage:
        partfile.replace(stage / _KEY, given.key.encode(), 0o600)
        partfile.replace(stage / _CERTIFICATE, given.certificate.encode())
        partfile.replace(stage / _AUTHORITY, given.authority.encode())
        found = _inspect(stage)
        if found.name != given.device:
            raise EnrolError(
                f"the certificate in the file is {found.name}'s, and the file says {given.device}",
                f"Make a new one on the server: doorline device rotate {given.device}",
            )
        if owner is not None:
            for each in (stage, *stage.iterdir()):
                os.chown(each, *owner)
        place = _free_place(folder, f"{LINK}-{found.fingerprint[:12]}")
        stage.rename(place)
    link = folder / f".{LINK}.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(place.name)
    link.replace(folder / LINK)
    partfile.sync_folder(folder)
    return found


def _free_place(folder: Path, name: str) -> Path:
    """A name not taken: what an attempt that was cut short has left may be what the link points to."""
    place, number = folder / name, 1
    while place.exists():
        place, number = folder / f"{name}.{number}", number + 1
    return place


def _already(link: Path, given: Enrolment) -> Identity | None:
    """The identity that is installed, when it is sound and the given one."""
    try:
        found = identity.inspect(link / _CERTIFICATE, link / _KEY, link / _AUTHORITY)
    except IdentityError:
        return None
    same = found.fingerprint == _fingerprint(given)
    return found if same and (link / _AUTHORITY).read_text(encoding="utf-8") == given.authority else None


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder that only its owner may enter; it vanishes unless it was put in its place."""
    stage = Path(tempfile.mkdtemp(prefix=f".{LINK}-", dir=folder))
    try:
        yield stage
    finally:
        if stage.exists():
            shutil.rmtree(stage)


def _inspect(folder: Path) -> Identity:
    try:
        return identity.inspect(folder / _CERTIFICATE, folder / _KEY, folder / _AUTHORITY)
    except IdentityError as error:
        raise EnrolError(
            f"the identity in the file can't be used: {error}", "Make a new one on the server: doorline device rotate"
        ) from error


def _fingerprint(given: Enrolment) -> str:
    return identity.fingerprint_in(given.certificate)


def _forget_others(folder: Path) -> None:
    """Remove identities that are no longer this box's: an old key is of no use here, and of some to a thief."""
    current = (folder / LINK).resolve()
    for each in folder.glob(f"{LINK}-*"):
        if _OURS.fullmatch(each.name) and each.resolve() != current:
            shutil.rmtree(each)
