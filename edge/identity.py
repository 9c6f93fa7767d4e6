"""Who this box is to the server: its certificate, looked at with nothing but the standard library.

A box installs no cryptography package. What `ssl` offers is a handshake, so one is made here, in memory, in which the
box shows its certificate to itself: that a key fits, that the authority signed it and that it has not expired are then
what OpenSSL says when a broker looks, not a second opinion of ours.
"""

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge.settings import BrokerSettings
from wire.enrolment import fingerprint

#: OpenSSL's verification results that have a sentence of their own (x509_vfy.h).
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
#: More than any handshake has; it ends or fails long before.
_MOST_FLIGHTS: Final = 10


class IdentityError(ValueError):
    """Certificate, key and authority don't make an identity; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate says.

    Attributes:
        name: its common name: the device's.
        not_after: when it expires (UTC).
        fingerprint: SHA-256 of its DER form, hexadecimal.
    """

    name: str
    not_after: datetime
    fingerprint: str


def inspect(certificate: Path, key: Path, authority: Path) -> Identity:
    """Look at an identity as a broker would.

    Raises:
        IdentityError: a file is missing or damaged, the key is another certificate's, another authority signed it, it
            has expired by this box's clock, or it is not one for a client.
    """
    try:
        shown, checking = _contexts(certificate, key, authority)
    except ssl.SSLError as error:
        raise IdentityError(f"{certificate.name}, {key.name} and {authority.name} {_misfit(error)}") from error
    except OSError as error:
        raise IdentityError(f"can't be read: {error}") from error
    try:
        peer, der = _handshake(shown, checking)
    except ssl.SSLCertVerificationError as error:
        raise IdentityError(_verdict(certificate, error)) from error
    except ssl.SSLError as error:
        raise IdentityError(f"{certificate.name} can't be used: {error.reason or error}") from error
    return Identity(_common_name(peer), _time(str(peer["notAfter"])), fingerprint(der))


def stamp(certificate: str) -> tuple[str, int] | None:
    """What changes when another certificate is put in the place of this one; None when it can't be looked at."""
    try:
        path = Path(certificate).resolve(strict=True)
        return str(path), path.stat().st_mtime_ns
    except OSError:
        return None


def fingerprint_of(certificate: Path) -> str:
    """Fingerprint of the first certificate in a file.

    Raises:
        OSError: when it can't be read (`ssl.SSLError` when it holds none).
    """
    return fingerprint_in(certificate.read_text(encoding="utf-8", errors="replace"))


def fingerprint_in(pem: str) -> str:
    """Fingerprint of the first certificate in a text.

    Raises:
        ssl.SSLError: when it holds none.
    """
    try:
        begins, ends = pem.index(ssl.PEM_HEADER), pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return fingerprint(ssl.PEM_cert_to_DER_cert(pem[begins:ends]))
    except ValueError as error:
        raise ssl.SSLError("there is no certificate in it") from error


def tls_context(broker: BrokerSettings) -> tuple[ssl.SSLContext, str]:
    """TLS as configured: the given authority or the system's, and our certificate where there is one.

    Returns:
        the context, and our certificate's fingerprint (empty without one).

    Raises:
        OSError: when a file can't be read (`ssl.SSLError` when it is not what it should be).
    """
    files = []
    for path in (broker.ca_file, broker.cert_file, broker.key_file):
        if path and not Path(path).is_file():
            raise FileNotFoundError(f"{path} is not there; see [broker] in the configuration")
        # Where a link names the identity, all three are taken from behind it, though it may move on meanwhile.
        files.append(os.path.realpath(path) if path else "")
    authority, certificate, key = files
    context = ssl.create_default_context(cafile=authority or None)
    if not certificate:
        return context, ""
    context.load_cert_chain(certificate, key)
    return context, fingerprint_of(Path(certificate))


def _contexts(certificate: Path, key: Path, authority: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown.check_hostname = False
    shown.verify_mode = ssl.CERT_NONE
    checking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    checking.verify_mode = ssl.CERT_REQUIRED
    for context in (shown, checking):
        context.load_cert_chain(certificate, key, password=_no_password)
    checking.load_verify_locations(authority)
    return shown, checking


def _no_password() -> str:
    """Asked for an encrypted key; without it OpenSSL would ask at the terminal, where nobody may sit."""
    return ""


def _handshake(shown: ssl.SSLContext, checking: ssl.SSLContext) -> tuple[dict[str, object], bytes]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = shown.wrap_bio(back, there)
    server = checking.wrap_bio(there, back, server_side=True)
    waiting = [client, server]
    for _ in range(_MOST_FLIGHTS):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue  # it is the other's turn
        if not waiting:
            break
    peer, der = server.getpeercert(), server.getpeercert(binary_form=True)
    if waiting or not peer or der is None:
        raise ssl.SSLError("the handshake did not end")
    return dict(peer), der


def _common_name(peer: dict[str, object]) -> str:
    subject = peer.get("subject", ())
    pairs = [pair for part in subject for pair in part] if isinstance(subject, tuple) else []
    return next((str(value) for key, value in pairs if key == "commonName"), "")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _misfit(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if "MISMATCH" in reason:
        return "don't fit: the key belongs to another certificate"
    return f"are not all certificates and a key ({reason})"


def _verdict(certificate: Path, error: ssl.SSLCertVerificationError) -> str:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _EXPIRED:
        return f"{certificate.name} has expired; this box's clock says {now}"
    if error.verify_code == _NOT_YET_VALID:
        return f"{certificate.name} is not valid yet; this box's clock says {now}"
    return f"{certificate.name} is not to be trusted: {error.verify_message}"
