"""What names a person is encrypted; what finds one is a keyed hash.

AES-GCM with the member's id and the field's name as associated data, so that a ciphertext moved to another row or
column does not open. The hashes are keyed because phone numbers are few: a plain SHA-256 of every mobile number of a
country takes a minute to make. All keys come from one master key by HKDF; without one the server does not start,
because members enrolled under a made-up key would be lost at the next start.
"""

import base64
import binascii
import hmac
import os
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.errors import DoorlineError, InvalidInput

TokenKind = Literal["phone", "last4", "name", "initials"]
Field = Literal["name", "phone", "birthday"]

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


class MemberKeys:
    """The keys of members' data.

    Args:
        master: at least 32 random bytes.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) < _SHORTEST:
            raise InvalidInput(
                f"the secret key has {len(master)} bytes; at least {_SHORTEST} are needed",
                field="secret_key",
                remedy=_REMEDY,
            )
        self._aead = AESGCM(_derive(master, b"doorline member data"))
        self._token_key = _derive(master, b"doorline member tokens")
        #: Stands beside every ciphertext, so that a later key can tell what it can't open.
        self.key_id: Final = sha256(_derive(master, b"doorline key id")).hexdigest()[:12]

    @classmethod
    def from_base64(cls, text: str) -> "MemberKeys":
        """The keys of ``settings.secret_key``.

        Raises:
            InvalidInput: when it is missing, not base64, or short; the remedy says how to make one.
        """
        if not text.strip():
            raise InvalidInput("no secret key is set", field="secret_key", remedy=_REMEDY)
        try:
            # Both alphabets of base64 are in use; padding gets lost in copying.
            plain = text.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
            master = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("the secret key is not base64", field="secret_key", remedy=_REMEDY) from error
        return cls(master)

    def encrypt(self, member_id: UUID, field: Field, text: str) -> bytes:
        """Nonce and ciphertext of one field of one member."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, text.encode(), _bound_to(member_id, field))

    def decrypt(self, member_id: UUID, field: Field, data: bytes, key_id: str) -> str:
        """The text again.

        Raises:
            WrongKey: when it was written under another key, for another member or field, or was changed.
        """
        if key_id != self.key_id:
            _log.error(
                "member under another key: start the server with the DOORLINE_SECRET_KEY of the enrolment",
                member=str(member_id),
                written_under=key_id,
                server_has=self.key_id,
            )
            raise WrongKey(f"the data of member {member_id} can't be opened", remedy=_TELL)
        try:
            return self._aead.decrypt(data[:_NONCE], data[_NONCE:], _bound_to(member_id, field)).decode()
        except InvalidTag as error:
            _log.error(
                "member changed in the database: restore the row from a backup",
                member=str(member_id),
                field=field,
                key=key_id,
            )
            raise WrongKey(f"the data of member {member_id} can't be opened", remedy=_TELL) from error

    def token(self, kind: TokenKind, text: str) -> bytes:
        """The keyed hash by which a member is found; the same text gives another hash for another kind."""
        return hmac.digest(self._token_key, f"{kind}\0{text}".encode(), "sha256")


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master)


def _bound_to(member_id: UUID, field: Field) -> bytes:
    return f"{member_id}/{field}".encode()
