"""The authority's files: who may read which, and how they change without ever being half there.

Three folders, for three who must not read each other's keys: `ca/` for whoever issues (its key under a passphrase
besides), `broker/` for the broker, `server/` for the server's processes. The traps, each measured with mosquitto
2.0.11: a revocation list that is missing or damaged when the broker reads it anew lets everybody in who was revoked, so
it is put in place whole or not at all; and one that is dated a second into the future lets nobody in, so it is dated
an hour back.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from server.errors import Conflict, DoorlineError, InvalidInput, NotFound
from server.provisioning.authority import (
    Authority,
    AuthorityError,
    Ended,
    Issued,
    check_host,
    hosts_of,
    read_certificate,
    read_list,
)
from server.provisioning.models import Endpoint
from wire.topics import CENTRAL_PREFIX, SERVER_USER

#: A certificate that is always revoked: a broker that takes it does not look at the present list.
CANARY: Final = f"{CENTRAL_PREFIX}canary"
SHORTEST_PASSPHRASE: Final = 12
#: How far the clocks of issuer and broker may be apart.
_BACKDATED: Final = timedelta(hours=1)

Part = Literal["ca", "broker", "server"]


class PkiError(DoorlineError):
    """The authority's files can't be used."""

    code = "pki"


@dataclass(frozen=True, slots=True)
class PkiView:
    """What there is, without any key; times in UTC.

    Attributes:
        ends: when the certificates of the authority, the broker and the server expire.
        hosts: what the broker's certificate calls it.
        listed: how many certificates the revocation list names, the canary aside.
        listed_at: the list's date.
    """

    ends: dict[Part, datetime]
    endpoint: Endpoint
    hosts: list[str]
    listed: int
    listed_at: datetime


class PkiFolder:
    """The authority's folder; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether an authority was made here that this process may use. Its certificate is written last."""
        # Path.exists() raises where the folder is another user's, and not every process of the centre may look in.
        return os.access(self.path / "ca" / "ca.crt", os.R_OK)

    def create(self, authority: Authority, passphrase: str, endpoint: Endpoint, hosts: Sequence[str]) -> None:
        """Write everything: the authority, the broker's and the server's certificates, an empty revocation list.

        Args:
            authority: a new one.
            passphrase: for its key.
            endpoint: where boxes find the broker.
            hosts: what else the broker is called, such as its name within the centre.

        Raises:
            Conflict: there is an authority here.
            InvalidInput: a passphrase too short, or no host name.
            PkiError: the files can't be written.
        """
        if self.exists:
            raise Conflict(
                f"there is an authority in {self.path} already",
                remedy="use it, or name another folder in DOORLINE_PKI_DIR",
            )
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise InvalidInput(
                f"the passphrase has fewer than {SHORTEST_PASSPHRASE} characters",
                field="passphrase",
                remedy="use a longer one; the whole chain's trust hangs on it",
            )
        now = datetime.now(UTC)
        called = _checked((endpoint.host, *hosts))
        with _explained():
            self.path.mkdir(parents=True, exist_ok=True)
            for name, mode in (("ca", 0o700), ("broker", 0o755), ("server", 0o755)):
                (self.path / name).mkdir(mode=mode, exist_ok=True)
            self._write_pair("broker", authority.issue_broker(called, now))
            self._write_pair("server", authority.issue_server(SERVER_USER, now))
            _write(self.path / "ca" / "ca.key", authority.encrypted_key(passphrase.encode()), 0o600)
            _write(self.path / "ca" / "endpoint.json", msgspec.json.encode(endpoint), 0o644)
        self.publish(authority, (), now)
        self._write_authority(authority)

    def unlock(self, passphrase: str) -> Authority:
        """The authority, able to sign.

        Raises:
            NotFound: there is none here.
            PkiError: a wrong passphrase, a damaged file, or a key that others may read.
        """
        self.require()
        key = self.path / "ca" / "ca.key"
        with _explained():
            if os.name == "posix" and key.stat().st_mode & 0o077:
                raise PkiError(f"{key} may be read by others than its owner", remedy=f"run: chmod 600 {key}")
            return Authority.load((self.path / "ca" / "ca.crt").read_bytes(), key.read_bytes(), passphrase.encode())

    @property
    def endpoint(self) -> Endpoint:
        """Where boxes find the broker."""
        self.require()
        with _explained():
            return msgspec.json.decode((self.path / "ca" / "endpoint.json").read_bytes(), type=Endpoint)

    def view(self) -> PkiView:
        """What there is; needs no passphrase.

        Raises:
            NotFound, PkiError: as `unlock`.
        """
        endpoint = self.endpoint
        with _explained():
            certificates: dict[Part, bytes] = {
                "ca": (self.path / "ca" / "ca.crt").read_bytes(),
                "broker": (self.path / "broker" / "broker.crt").read_bytes(),
                "server": (self.path / "server" / "server.crt").read_bytes(),
            }
            listed_at, _, serials = read_list((self.path / "broker" / "crl.pem").read_bytes())
            ends = {part: read_certificate(pem).not_valid_after_utc for part, pem in certificates.items()}
            return PkiView(ends, endpoint, hosts_of(certificates["broker"]), len(serials) - 1, listed_at)

    @property
    def listed(self) -> frozenset[str]:
        """Serial numbers the present revocation list names; none when it is missing or damaged."""
        with _explained():
            return self._last_list()[2]

    def publish(self, authority: Authority, ended: Iterable[Ended], now: datetime) -> None:
        """Write the revocation list the broker is to read, with a new canary on it.

        The canary's certificate is on this list and on none before: a broker that refuses it has read this one. A
        present list that is damaged does not stand in the way of the next.
        """
        path = self.path / "broker" / "crl.pem"
        with _explained():
            last, number, _ = self._last_list()
            at = max(now - _BACKDATED, last + timedelta(seconds=1))
            canary = authority.issue_client(CANARY, now)
            listed = [*ended, *self._own_ended(), Ended(canary.serial, now)]
            crl = authority.revocation_list(listed, at, number + 1)
            _write(self.path / "ca" / "canary.key", canary.key, 0o600)
            _write(self.path / "ca" / "canary.crt", canary.certificate, 0o644)
            # Public, and readable by whoever the broker has become when it reads it again: a list it can't read, it
            # does without.
            _write(path, crl, 0o644)

    def renew(self, part: Part, authority: Authority, passphrase: str, hosts: Sequence[str] = ()) -> Authority:
        """Give the authority, the broker or the server a certificate with a later end, for the key it has.

        With the key kept only one file changes, so that no reader ever finds two that don't fit. `hosts` are added to
        what the broker is called.

        Returns:
            the authority to go on with: a new one when it was renewed itself.
        """
        now = datetime.now(UTC)
        with _explained():
            if part == "ca":
                renewed = authority.renewed(now)
                Authority.load(renewed.certificate, (self.path / "ca" / "ca.key").read_bytes(), passphrase.encode())
                self._write_authority(renewed)
                return renewed
            folder = self.path / part
            key = (folder / f"{part}.key").read_bytes()
            if part == "broker":
                issued = authority.issue_broker(self._called(hosts), now, key)
            else:
                issued = authority.issue_server(SERVER_USER, now, key)
            _write(folder / f"{part}.crt", issued.certificate, 0o644)
            return authority

    def replace(self, part: Literal["broker", "server"], authority: Authority) -> None:
        """Give the broker or the server a new key, and put its old certificate on the lists to come.

        For a key that got into other hands. The broker holds the server to the list; boxes read no list, so a stolen
        broker's key is good until its certificate ends, wherever somebody can pose as the broker's address.
        """
        now = datetime.now(UTC)
        with _explained():
            old = read_certificate((self.path / part / f"{part}.crt").read_bytes())
            ended = [*self._own_ended(), Ended(f"{old.serial_number:x}", now)]
            _write(self.path / "ca" / "ended.json", msgspec.json.encode(ended), 0o644)
            if part == "broker":
                self._write_pair(part, authority.issue_broker(self._called(()), now))
            else:
                self._write_pair(part, authority.issue_server(SERVER_USER, now))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the folder: two lists made at once would each lack what the other ends."""
        self.require()
        with _explained():
            file = (self.path / "ca" / "lock").open("ab")
        with file:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def require(self) -> None:
        """Nothing, where there is an authority.

        Raises:
            NotFound: there is none; the remedy says how to make one.
        """
        if not self.exists:
            raise NotFound(
                f"there is no certificate authority in {self.path.absolute()}",
                remedy="make one: doorline pki init --host mqtt.example.com; or name its folder in DOORLINE_PKI_DIR",
            )

    def _called(self, more: Sequence[str]) -> list[str]:
        """What the broker is called, and shall be called besides."""
        known = hosts_of((self.path / "broker" / "broker.crt").read_bytes())
        return list(dict.fromkeys([*known, *_checked(more)]))

    def _last_list(self) -> tuple[datetime, int, frozenset[str]]:
        try:
            return read_list((self.path / "broker" / "crl.pem").read_bytes())
        except FileNotFoundError:
            return datetime.fromtimestamp(0, UTC), 0, frozenset()
        except AuthorityError:
            # Its number is not known; the seconds there have been are more than there can have been lists.
            return datetime.fromtimestamp(0, UTC), int(datetime.now(UTC).timestamp()), frozenset()

    def _own_ended(self) -> list[Ended]:
        """Certificates of the centre's own that were replaced."""
        path = self.path / "ca" / "ended.json"
        return msgspec.json.decode(path.read_bytes(), type=list[Ended]) if path.exists() else []

    def _write_pair(self, part: Part, issued: Issued) -> None:
        _write(self.path / part / f"{part}.key", issued.key, 0o600)
        _write(self.path / part / f"{part}.crt", issued.certificate, 0o644)

    def _write_authority(self, authority: Authority) -> None:
        """To those who check with it first, and to its own place last."""
        for part in ("broker", "server", "ca"):
            _write(self.path / part / "ca.crt", authority.certificate, 0o644)


def _checked(hosts: Sequence[str]) -> list[str]:
    """Names and addresses, each once."""
    try:
        return list(dict.fromkeys(check_host(host) for host in hosts))
    except AuthorityError as error:
        raise InvalidInput(str(error), field="host", remedy="such as mqtt.example.com, or an address") from error


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong with files or their content, as an error with a remedy."""
    try:
        yield
    except AuthorityError as error:
        raise PkiError(
            str(error),
            remedy="check the passphrase; what is damaged, take back from a backup (a list: doorline pki crl)",
        ) from error
    except msgspec.DecodeError as error:
        raise PkiError(f"a file in ca/ is damaged: {error}", remedy="take ca/ back from a backup") from error
    except OSError as error:
        raise PkiError(
            f"{error.filename} can't be used ({error.strerror})", remedy="check the folder's owner and the disk"
        ) from error


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step, durably; a key is never readable by others, not even for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # What root writes into the broker's folder is for the broker, who reads it as whom the folder was given to.
        owner = path.parent.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.chmod(mode)
    draft.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
