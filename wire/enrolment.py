"""The one file that carries a box's identity from the server to the box.

It goes by memory stick or mail, through hands that know nothing of certificates, so a box has to be able to say what is
wrong with it: cut off on the way, changed, or made by a server newer than the box. The form is looked at before
anything else, because a later form may have other fields and another checksum. The file holds a private key: it is
never printed whole.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from wire.base import Name, Utc

#: The form of the file; a box reads its own and older ones.
FORM: Final = 1
#: A file larger than this is none of ours (bytes).
MAX_BYTES: Final = 64 * 1024
_MARK: Final = "doorline_enrolment"
_SUM: Final = "sha256"

Pem = Annotated[str, Meta(pattern=r"^-----BEGIN [A-Z ]+-----\n")]


class EnrolmentError(ValueError):
    """A file that can't be used; `code` is `damaged` or `newer`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a box needs to speak to the server as itself.

    Attributes:
        device: its name, which is also the certificate's.
        store: where the server expects it, for people to read.
        host: name or address of the broker, as its certificate has it.
        port: of the broker, TLS.
        issued_at: when (UTC, server's clock).
        not_after: when the certificate expires (UTC).
        authority: certificate of the CA the broker is checked against (PEM).
        certificate: the box's own (PEM).
        key: its private key (PEM), unencrypted.
    """

    device: Name
    store: str
    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    issued_at: Utc
    not_after: Utc
    authority: Pem
    certificate: Pem
    key: Pem

    def __repr__(self) -> str:
        """Without the key, so that no log line can carry it."""
        return f"Enrolment(device={self.device!r}, host={self.host!r}, port={self.port})"


def encode(enrolment: Enrolment) -> bytes:
    """The file's content: UTF-8 JSON that a person can look into."""
    fields: dict[str, Any] = msgspec.to_builtins(enrolment)
    whole = {_MARK: FORM, **fields, _SUM: _checksum(fields)}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def decode(content: bytes) -> Enrolment:
    """Read a file's content.

    Raises:
        EnrolmentError: `newer` when a newer Doorline made it; `damaged` when it is cut off, changed, or something else.
    """
    if len(content) > MAX_BYTES:
        raise EnrolmentError("damaged", f"it has {len(content)} bytes, which no enrolment file has")
    try:
        whole = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnrolmentError("damaged", f"it is cut off, or not an enrolment file ({error})") from error
    if not isinstance(whole, dict) or not isinstance(form := whole.pop(_MARK, None), int):
        raise EnrolmentError("damaged", "it is not an enrolment file")
    if form > FORM:
        raise EnrolmentError("newer", f"it has form {form}, and this Doorline reads forms up to {FORM}")
    if whole.pop(_SUM, None) != _checksum(whole):
        raise EnrolmentError("damaged", "it was changed on the way: its checksum does not fit")
    try:
        return msgspec.convert(whole, Enrolment)
    except msgspec.ValidationError as error:
        raise EnrolmentError("damaged", f"it is not of the form it claims ({error})") from error


def fingerprint(der: bytes) -> str:
    """How a certificate is named everywhere: SHA-256 of its DER form, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def expired(enrolment: Enrolment, now: datetime) -> bool:
    """Whether its certificate is past its end (`now` aware)."""
    return now >= enrolment.not_after


def _checksum(fields: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()
