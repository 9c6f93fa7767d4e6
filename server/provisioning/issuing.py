"""Boxes made, rotated and ended by a process that may have the authority, and the broker told of it.

The command line asks for the authority's passphrase at a terminal; a page can't keep one. So a page's process either
has the passphrase in the file of the settings, or is given it with each request and forgets it; one that has no
authority at all makes boxes with passwords, for brokers that take those. What was ended in the database is refused by
ingest at once. The broker learns of it in three further steps, each of which can fail: so each says how it went.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from server.access.models import Scope
from server.errors import DoorlineError, InvalidInput
from server.provisioning import door
from server.provisioning.authority import DEVICE_LIFE, Authority
from server.provisioning.broker import Broker
from server.provisioning.folder import PkiFolder
from server.provisioning.models import Provisioned, Revoked
from server.provisioning.service import OVERLAP, ProvisioningService
from server.settings import Settings

_log = structlog.get_logger(__name__)
#: How this process comes by the authority's key: it can't, by the file of the settings, or by whoever asks.
Signing = Literal["none", "file", "asked"]
#: What the broker goes by: nothing had to change, the new list, the old one until somebody reloads it, or nobody knows.
Told = Literal["unchanged", "told", "by_hand", "unknown"]


@dataclass(frozen=True, slots=True)
class Carried:
    """A box's one file, to be handed over once.

    Attributes:
        name: of the file.
        content: it holds the box's key; nothing of ours keeps it.
        told: what the broker goes by now.
    """

    made: Provisioned
    name: str
    content: bytes
    told: Told = "unchanged"


@dataclass(frozen=True, slots=True)
class Ended:
    """A box that was ended, and what the broker goes by now."""

    done: Revoked
    told: Told


class Issuing:
    """Makes, rotates and ends boxes."""

    def __init__(self, provisioning: ProvisioningService, settings: Settings) -> None:
        self._provisioning = provisioning
        self._settings = settings
        self._pki = PkiFolder(settings.pki_dir)
        self._broker = Broker(settings, self._pki)

    @property
    def signing(self) -> Signing:
        """How this process comes by the authority's key."""
        if not self._pki.exists:
            return "none"
        return "asked" if self._settings.pki_passphrase_file is None else "file"

    def require_passwords(self) -> None:
        """Nothing, where a box with a password may be let in by the broker.

        Raises:
            InvalidInput: for the field ``device``: the broker wants certificates, and this process can't make one.
        """
        if self._settings.broker_cert_file is not None and self.signing == "none":
            raise InvalidInput(
                "the broker lets in boxes with a certificate alone, and there is no authority here to sign one",
                field="device",
                remedy="where the authority is: docker compose run --rm operator device add --store S01 --name door-1 "
                "--out boxes/door-1.enrol (without containers: doorline device add)",
            )

    def add(self, scope: Scope, store_id: str, name: str, passphrase: str = "") -> Carried:
        """Add a box with a certificate; its one file comes back and is kept nowhere.

        Raises:
            as `ProvisioningService.add_device`; and where the authority can't be unlocked.
        """
        scope.require_role("admin")
        authority = self._unlock(passphrase)
        content: list[bytes] = []
        made = self._provisioning.add_device(
            scope,
            store_id,
            name,
            authority=authority,
            endpoint=self._pki.endpoint,
            hand_over=_into(content),
            life=DEVICE_LIFE,
        )
        return Carried(made, f"{name}.enrol", content[0])

    def rotate(
        self, scope: Scope, name: str, *, at_once: bool, passphrase: str = "", after: str | None = None
    ) -> Carried:
        """Give a box another certificate.

        Args:
            at_once: the old one ends now, for a key that got into other hands; otherwise once the new one was seen.
            after: as `ProvisioningService.rotate`.

        Raises:
            as `ProvisioningService.rotate`; and where the authority can't be unlocked.
        """
        scope.require_role("admin")
        authority = self._unlock(passphrase)
        content: list[bytes] = []
        made = self._provisioning.rotate(
            scope,
            name,
            authority=authority,
            endpoint=self._pki.endpoint,
            hand_over=_into(content),
            overlap=timedelta(0) if at_once else OVERLAP,
            after=after,
        )
        try:
            told = self._tell(scope, authority, [name] if at_once else [])
        except DoorlineError as error:
            # The old certificate has ended and the new one's key is in this answer alone: it must not be lost.
            _log.warning("the broker could not be told", device=name, reason=error.message)
            told = "by_hand"
        return Carried(made, f"{name}.enrol", content[0], told)

    def end(self, scope: Scope, name: str, passphrase: str = "") -> Ended:
        """End a box and what it signs in with.

        The broker is told where the authority can be unlocked; a wrong passphrase keeps nobody from ending a box.

        Raises:
            as `ProvisioningService.revoke`.
        """
        done = self._provisioning.revoke(scope, name)
        if self.signing == "none" or not done.certificates:
            return Ended(done, "unchanged")
        try:
            return Ended(done, self._tell(scope, self._unlock(passphrase), [name], always=True))
        except DoorlineError:
            return Ended(done, "by_hand")

    # -- inside

    def _unlock(self, passphrase: str) -> Authority:
        file = self._settings.pki_passphrase_file
        if file is not None:
            try:
                passphrase = file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise DoorlineError(
                    f"the authority's passphrase can't be read ({error.strerror})",
                    remedy="mend DOORLINE_PKI_PASSPHRASE_FILE",
                ) from error
        elif not passphrase:
            raise InvalidInput(
                "the authority's passphrase is missing", field="passphrase", remedy="give it; it is not kept"
            )
        try:
            return self._pki.unlock(passphrase)
        except DoorlineError as error:
            if file is not None:
                raise
            raise InvalidInput(error.message, field="passphrase", remedy="check it") from error

    def _tell(self, scope: Scope, authority: Authority, cut: Collection[str], *, always: bool = False) -> Told:
        with self._pki.locked():
            settled = self._provisioning.settle(scope)
            ended = self._provisioning.ended(scope, authority)
            if not always and {each.serial for each in ended} <= self._pki.listed:
                return "unchanged"
            self._pki.publish(authority, ended, datetime.now(UTC))
        if not self._settings.broker_reload:
            return "by_hand"
        try:
            door.tell_to_reload(self._settings.broker_reload)
            sound = self._broker.tried_until_sound().sound
            for name in sorted({*cut, *(each.device_id for each in settled)}):
                self._broker.cut(name)
        except door.DoorError:
            return "unknown"
        return "told" if sound else "unknown"


def _into(kept: list[bytes]) -> Callable[[bytes], Callable[[], None]]:
    """Hands an enrolment over into memory, from where it goes out with the answer."""

    def hand_over(content: bytes) -> Callable[[], None]:
        kept.append(content)
        return kept.clear

    return hand_over
