"""What must be kept and must not be read from a backup: secrets shared with others, rows with phone numbers in them.

AES-GCM bound to what it belongs to, so that a ciphertext moved to another row does not open. The key's id goes before
it, so that what was sealed under an older key opens until it is gone.
"""

import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.errors import DoorlineError

_NONCE: Final = 12


class NotOurs(DoorlineError):
    """It was sealed under a key that isn't there, or for something else, or was changed."""

    code = "wrong_key"


class Sealer:
    """Seals and opens.

    Args:
        keys: ids and 32 bytes each; the first seals, all open.
    """

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._ring = {key_id.encode(): AESGCM(key) for key_id, key in reversed(keys)}
        self._newest = keys[0][0].encode()

    def seal(self, belongs_to: str, data: bytes) -> bytes:
        """Key id, nonce and ciphertext.

        Args:
            belongs_to: what it is part of, such as ``webhook/<id>``; needed again to open it.
        """
        nonce = os.urandom(_NONCE)
        return self._newest + b"." + nonce + self._ring[self._newest].encrypt(nonce, data, belongs_to.encode())

    def open(self, belongs_to: str, sealed: bytes) -> bytes:
        """The data again.

        Raises:
            NotOurs: it can't be opened.
        """
        key_id, _, rest = sealed.partition(b".")
        key = self._ring.get(key_id)
        try:
            if key is not None:
                return key.decrypt(rest[:_NONCE], rest[_NONCE:], belongs_to.encode())
        except InvalidTag:
            key = None
        raise NotOurs(
            f"what is kept of {belongs_to} can't be opened",
            remedy="start the server with the DOORLINE_SECRET_KEY it was written under",
        )
