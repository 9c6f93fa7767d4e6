"""The chain's broker as the authority's folder and the settings know it: knocked at, waited for, told to let one go.

A broker reads a new list some time after it was told to, and says nothing. So whoever told it knocks with the one
certificate that only the newest list names, again and again, for as long as reading may take.
"""

import time
from typing import Final

from server.provisioning import door
from server.provisioning.folder import PkiFolder
from server.provisioning.models import Endpoint
from server.settings import Settings

#: How long a broker may take to read its files anew (seconds).
_RELOAD_S: Final = 10.0


class Broker:
    """The broker that goes by the authority in a folder."""

    def __init__(self, settings: Settings, pki: PkiFolder) -> None:
        self._settings = settings
        self._pki = pki

    def tried(self, at: Endpoint | None = None) -> door.Tried:
        """Knock at the boxes' listener; it is the folder's own unless another is named.

        Raises:
            DoorError: nobody answers there, or not the broker of this authority.
        """
        ca = self._pki.path / "ca"
        canary = door.Credentials(ca / "ca.crt", ca / "canary.crt", ca / "canary.key")
        where = at or Endpoint(self._settings.broker_host, self._pki.endpoint.port)
        return door.try_door(where, self._server, canary)

    def tried_until_sound(self) -> door.Tried:
        """Knock until it goes by the newest list, or can't be waited for any longer; what came of the last time.

        Raises:
            DoorError: as `tried`.
        """
        give_up = time.monotonic() + _RELOAD_S
        while not (found := self.tried()).sound and time.monotonic() < give_up:
            time.sleep(0.1)
        return found

    def cut(self, device: str) -> None:
        """End the session a box has open.

        Raises:
            DoorError: the broker can't be reached, or does not let us in.
        """
        door.cut(Endpoint(self._settings.broker_host, self._settings.broker_port), self._server, device)

    @property
    def _server(self) -> door.Credentials:
        own = self._pki.path / "server"
        return door.Credentials(own / "ca.crt", own / "server.crt", own / "server.key")
