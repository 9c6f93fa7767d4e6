"""Who posts a batch over HTTPS, and how a refusal is said there.

On MQTT the broker knows who publishes; here we must find out ourselves, by the box's password (HTTP Basic) or by
the common name of its client certificate. TLS ends in a proxy, which passes that name on in a header; anybody can write
a header, so it is believed only where its name is set and only from the proxies that are named. A proxy may check
certificates by an old revocation list, or by none; where it passes the certificate on, too, we look at our own record.
"""

import ssl
from base64 import b64decode
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Final, Protocol, cast
from urllib.parse import unquote

from starlette.requests import Request

from server.access.models import Scope
from server.errors import DoorlineError, NotSignedIn, TooLarge
from server.middleware import PEER
from server.provisioning.service import ProvisioningService
from server.settings import Settings
from server.storage.pool import Database
from server.stores.service import StoresService
from wire.enrolment import fingerprint
from wire.messages import Refusal
from wire.topics import TopicError, check_name

_REMEDY: Final = "send the box's name and password (HTTP Basic), or its client certificate"


class UnknownDevice(DoorlineError):
    """The box is not registered, or was ended."""

    status = HTTPStatus.FORBIDDEN
    code = "unknown_device"


class WrongEnvelope(DoorlineError):
    """The batch is not of the contract."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "wrong_envelope"


class NotWritable(DoorlineError):
    """The batch can't be written, and it is our fault."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "not_writable"


_REFUSALS: Final[Mapping[str, type[DoorlineError]]] = {
    each.code: each for each in (UnknownDevice, WrongEnvelope, NotWritable, TooLarge)
}


class _State(Protocol):
    db: Database
    settings: Settings
    stores: StoresService


def sending_device(request: Request) -> str:
    """The name of the box that sends this request.

    Raises:
        NotSignedIn: it does not say who it is, or can't prove it.
        Unavailable: the database is away.
    """
    state = cast("_State", request.app.state.services)
    name = _certified(request, state.settings)
    if name is not None and state.settings.device_certificate_header:
        shown = _fingerprint(request, state.settings.device_certificate_header)
        if not ProvisioningService(state.db).takes(name, shown):
            raise NotSignedIn(
                f"this certificate is not one of {name}'s, or was ended",
                remedy="give the box a new one: doorline device rotate",
            )
    if name is None:
        name, password = _basic(request)
        if not state.stores.check_device(Scope.system("devices"), name, password):
            raise NotSignedIn("the box's name or password is wrong, or the box was ended", remedy=_REMEDY)
    return name


def error_of(refusal: Refusal) -> DoorlineError:
    """A refusal as an error; which batch it is about stands in its detail."""
    detail = {"epoch": refusal.epoch, "first_seq": refusal.first_seq, "nonce": refusal.nonce}
    return _REFUSALS[refusal.code](
        refusal.reason, detail={key: str(value) for key, value in detail.items() if value is not None}
    )


def _certified(request: Request, settings: Settings) -> str | None:
    """The common name a trusted proxy took from the client's certificate; None where there is none."""
    header = settings.device_name_header
    given = request.headers.getlist(header) if header else []
    if not given:
        return None
    if not _is_trusted(request, settings.trusted_proxies):
        raise NotSignedIn(f"{header} is believed only from a trusted proxy", remedy="see DOORLINE_TRUSTED_PROXIES")
    if len(given) > 1:
        raise NotSignedIn(f"{header} was sent more than once", remedy="let the proxy replace it, not add to it")
    # Proxies send it empty where the client showed no certificate.
    return _checked(given[0]) if given[0] else None


def _fingerprint(request: Request, header: str) -> str:
    """SHA-256 of the certificate the proxy passed on, in whatever way it did; empty for nothing we can read."""
    given = request.headers.getlist(header)
    if len(given) != 1:
        return ""
    text = unquote(given[0]).strip()
    if "BEGIN CERTIFICATE" in text:
        try:
            return fingerprint(ssl.PEM_cert_to_DER_cert(text + "\n"))
        except ValueError:
            return ""
    return text.replace(":", "").removeprefix("sha256=").lower()


def _is_trusted(request: Request, proxies: str) -> bool:
    """Whether the connection comes from a named proxy: the peer itself, not whom it speaks for."""
    peer = request.scope.get(PEER)
    if peer is None:
        peer = request.client.host if request.client else ""
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in ip_network(proxy) for proxy in proxies.split(",") if proxy)


def _basic(request: Request) -> tuple[str, str]:
    credentials = _decoded(request.headers.get("Authorization", ""))
    if credentials is None:
        raise NotSignedIn("the box does not say who it is", remedy=_REMEDY)
    name, _, password = credentials.partition(":")
    return _checked(name), password


def _decoded(header: str) -> str | None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except TopicError as error:
        raise NotSignedIn("that is no name of a box", remedy=_REMEDY) from error
