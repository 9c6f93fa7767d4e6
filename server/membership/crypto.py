"""What names a person is encrypted; what finds one is a keyed hash.

AES-GCM with the member's id and the field's name as associated data, so that a ciphertext moved to another row or
column does not open. The hashes are keyed because phone numbers are few: a plain SHA-256 of every mobile number of a
country takes a minute to make. All keys come from one master key by HKDF; without one the server does not start,
because members enrolled under a made-up key would be lost at the next start.

A key is changed by starting with the new one and the old one behind it, and rotating: until the last row is under the
new key, what either wrote opens, and a member is looked for by the hashes of both.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.errors import DoorlineError, InvalidInput

TokenKind = Literal["phone", "last4", "name", "initials", "twin"]
Field = Literal["name", "phone", "birthday", "custom", "note", "file_name", "file"]

_NONCE: Final = 12
_SHORTEST: Final = 32
_REMEDY: Final = (
    "set DOORLINE_SECRET_KEY to 32 random bytes in base64, such as the output of "
    "`python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'`, and keep a copy: "
    "members can't be read without it"
)
#: To whoever asked; what was wrong is for whoever runs the server.
_TELL: Final = "tell whoever runs the server: its log says what is wrong"
_log = structlog.get_logger(__name__)


class WrongKey(DoorlineError):
    """A member's data was written under another key, or was changed in the database.

    Which, and under what key, stands in the log only: whoever asks for a member has no business with our keys.
    """

    code = "wrong_key"


@dataclass(frozen=True, slots=True)
class _Key:
    """What one master key gives."""

    key_id: str
    aead: AESGCM
    token_key: bytes
    signing_key: bytes


class MemberKeys:
    """The keys of members' data.

    Args:
        master: at least 32 random bytes; everything new is written under it.
        old: masters of before, under which there may still be rows.
    """

    def __init__(self, master: bytes, old: Sequence[bytes] = ()) -> None:
        self._ring = {key.key_id: key for key in map(_key, (master, *old))}
        self._current = _key(master)
        #: Stands beside every ciphertext, so that a later key can tell what it can't open.
        self.key_id: Final = self._current.key_id

    @classmethod
    def from_base64(cls, text: str, old: str = "") -> "MemberKeys":
        """The keys of ``settings.secret_key`` and ``settings.old_secret_keys`` (by commas).

        Raises:
            InvalidInput: when it is missing, not base64, or short; the remedy says how to make one.
        """
        return cls(
            _master(text, "secret_key"),
            [_master(each, "old_secret_keys") for each in old.split(",") if each.strip()],
        )

    def knows(self, key_id: str) -> bool:
        """Whether rows under this key can be opened."""
        return key_id in self._ring

    def encrypt(self, owner: UUID, field: Field, text: str) -> bytes:
        """Nonce and ciphertext of one field of one member, note or file."""
        return self.seal(owner, field, text.encode())

    def decrypt(self, owner: UUID, field: Field, data: bytes, key_id: str) -> str:
        """The text again.

        Raises:
            WrongKey: when it was written under another key, for another member or field, or was changed.
        """
        return self.open(owner, field, data, key_id).decode()

    def seal(self, owner: UUID, field: Field, data: bytes) -> bytes:
        """As `encrypt`, of bytes."""
        nonce = os.urandom(_NONCE)
        return nonce + self._current.aead.encrypt(nonce, data, _bound_to(owner, field))

    def open(self, owner: UUID, field: Field, data: bytes, key_id: str) -> bytes:
        """As `decrypt`, of bytes."""
        key = self._ring.get(key_id)
        if key is None:
            _log.error(
                "member under another key: start the server with the DOORLINE_SECRET_KEY of the enrolment",
                member=str(owner),
                written_under=key_id,
                server_has=self.key_id,
            )
            raise WrongKey(f"the data of member {owner} can't be opened", remedy=_TELL)
        try:
            return key.aead.decrypt(data[:_NONCE], data[_NONCE:], _bound_to(owner, field))
        except InvalidTag as error:
            _log.error(
                "member changed in the database: restore the row from a backup",
                member=str(owner),
                field=field,
                key=key_id,
            )
            raise WrongKey(f"the data of member {owner} can't be opened", remedy=_TELL) from error

    def token(self, kind: TokenKind, text: str) -> bytes:
        """The keyed hash by which a member is found; the same text gives another hash for another kind."""
        return _token(self._current, kind, text)

    def tokens(self, kind: TokenKind, text: str) -> list[bytes]:
        """The hashes under every key there is, the newest first: to look for, never to write."""
        return [_token(key, kind, text) for key in self._ring.values()]

    def sign(self, data: bytes) -> bytes:
        """A signature that only this server can make, and check."""
        return hmac.digest(self._current.signing_key, data, "sha256")

    def has_signed(self, data: bytes, signature: bytes, key_id: str) -> bool:
        """Whether this is our signature of `data`.

        Raises:
            WrongKey: when it was made under a key that is not there.
        """
        key = self._ring.get(key_id)
        if key is None:
            _log.error("receipt signed under another key", written_under=key_id, server_has=self.key_id)
            raise WrongKey("the signature can't be checked", remedy=_TELL)
        return hmac.compare_digest(hmac.digest(key.signing_key, data, "sha256"), signature)


def derived_keys(text: str, old: str, purpose: bytes, length: int) -> list[tuple[str, bytes]]:
    """Bytes for another purpose out of the same settings, with the id of the key they come from; the newest first.

    Raises:
        InvalidInput: as `MemberKeys.from_base64`.
    """
    masters = [
        _master(text, "secret_key"),
        *(_master(each, "old_secret_keys") for each in old.split(",") if each.strip()),
    ]
    return [
        (_key(master).key_id, HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(master))
        for master in masters
    ]


def _master(text: str, field: str) -> bytes:
    if not text.strip():
        raise InvalidInput("no secret key is set", field=field, remedy=_REMEDY)
    try:
        # Both alphabets of base64 are in use; padding gets lost in copying.
        plain = text.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("the secret key is not base64", field=field, remedy=_REMEDY) from error


def _key(master: bytes) -> _Key:
    if len(master) < _SHORTEST:
        raise InvalidInput(
            f"the secret key has {len(master)} bytes; at least {_SHORTEST} are needed",
            field="secret_key",
            remedy=_REMEDY,
        )
    return _Key(
        sha256(_derive(master, b"doorline key id")).hexdigest()[:12],
        AESGCM(_derive(master, b"doorline member data")),
        _derive(master, b"doorline member tokens"),
        _derive(master, b"doorline receipts"),
    )


def _token(key: _Key, kind: TokenKind, text: str) -> bytes:
    return hmac.digest(key.token_key, f"{kind}\0{text}".encode(), "sha256")


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master)


def _bound_to(owner: UUID, field: Field) -> bytes:
    return f"{owner}/{field}".encode()
