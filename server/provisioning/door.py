"""The broker's door, tried from outside: does it let in who it should, and nobody else?

A broker reads a new revocation list when it is told to, says nothing of it, and one it can't read it silently does
without (mosquitto 2.0.11); what is in force is found out by knocking with a certificate that only the newest list
names. A session that is open stays open whatever the list says; it is cut by signing in under its name, because MQTT
has one session for each client id, and our broker gives a box no other id than its name.
"""

import shlex
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.errors import DoorlineError
from server.provisioning.models import Endpoint
from wire.topics import check_name

_PATIENCE_S: Final = 5.0
_CONNACK: Final = 0x20
_DISCONNECT: Final = b"\xe0\x00"


class DoorError(DoorlineError):
    """The broker can't be reached, or is not the one it should be."""

    code = "broker"
    status = 503


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to knock with: the authority the broker is checked against, and a certificate with its key."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS with these.

        Raises:
            DoorError: a file is missing or damaged.
        """
        try:
            context = ssl.create_default_context(cafile=self.authority)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            raise DoorError(
                f"{self.certificate or self.authority} can't be used: {error}",
                remedy="see `doorline pki status`, and who may read the folder",
            ) from error
        return context


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of knocking at a listener.

    Attributes:
        knows_us: it lets the server in, so that what it refuses it refuses for a reason.
        has_the_list: it refuses the canary, whom only the newest list names.
        wants_certificates: it refuses who shows none.
    """

    at: Endpoint
    knows_us: bool
    has_the_list: bool
    wants_certificates: bool

    @property
    def sound(self) -> bool:
        """Whether all is as it should be."""
        return self.knows_us and self.has_the_list and self.wants_certificates


def tell_to_reload(command: str) -> None:
    """Run the operator's command that makes the broker read its files anew.

    Raises:
        DoorError: it can't be run, or failed; with its own words.
    """
    try:
        ran = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise DoorError(f"{command!r} can't be run: {error}", remedy="mend DOORLINE_BROKER_RELOAD") from error
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
        raise DoorError(
            f"{command!r} failed with status {ran.returncode}: {' '.join(said)}",
            remedy="mend DOORLINE_BROKER_RELOAD, or reload the broker by hand",
        )


def try_door(at: Endpoint, server: Credentials, canary: Credentials) -> Tried:
    """Knock three times: as the server, as the canary, and with nothing.

    Raises:
        DoorError: nobody answers there, or not the broker of this authority.
    """
    return Tried(
        at,
        knows_us=knock(at, server),
        has_the_list=not knock(at, canary),
        wants_certificates=not knock(at, Credentials(server.authority)),
    )


def cut(at: Endpoint, server: Credentials, device: str) -> None:
    """End the session that `device` has open; it may come back if its certificate lets it.

    Args:
        at: the server's own listener, where a client may choose its id.

    Raises:
        DoorError: the broker can't be reached, or does not let the server in.
    """
    if not knock(at, server, check_name(device)):
        raise DoorError(
            f"the broker at {at.host}:{at.port} does not let the server in", remedy="see `doorline pki status`"
        )


def knock(at: Endpoint, credentials: Credentials, client_id: str = "") -> bool:
    """Sign in (MQTT 3.1.1, clean session) and leave; whether we were let in.

    Raises:
        DoorError: nobody answers there, or not the broker of this authority.
    """
    context = credentials.context()
    try:
        with socket.create_connection((at.host, at.port), timeout=_PATIENCE_S) as plain:
            return _sign_in(context, plain, at.host, client_id)
    except ssl.SSLCertVerificationError as error:
        raise DoorError(
            f"the broker at {at.host}:{at.port} is not the one of this authority, or not called that:"
            f" {error.verify_message}",
            remedy="see what it is called: doorline pki status; add a name: doorline pki renew broker --host NAME",
        ) from error
    except OSError as error:
        raise DoorError(
            f"the broker at {at.host}:{at.port} can't be reached: {error}", remedy="check that it runs, and its address"
        ) from error


def _sign_in(context: ssl.SSLContext, plain: socket.socket, host: str, client_id: str) -> bool:
    try:
        with context.wrap_socket(plain, server_hostname=host) as secured:
            secured.sendall(_connect_packet(client_id))
            answer = secured.recv(4)
            if len(answer) != 4 or answer[0] != _CONNACK or answer[3] != 0:
                return False
            secured.sendall(_DISCONNECT)
            return True
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        raise
    except OSError:
        # A broker refuses a certificate by an alert in TLS 1.2; in 1.3 it lets us write and then hangs up.
        return False


def _connect_packet(client_id: str) -> bytes:
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(name).to_bytes(2, "big") + name
    return bytes((0x10, len(body))) + body
