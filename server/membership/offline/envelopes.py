"""What a desk keeps while it is offline is sealed to this server: the tablet itself can't open it again.

A browser has no safe place for a key, and whoever takes a tablet off a counter takes all its storage. So a page never
has a key that opens anything: it has the public half of this server's, makes a key of its own for each item and forgets
it (ECDH over P-256, HKDF, AES-GCM: what every browser brings). Whose item it is, of what kind and when it was made is
bound to it, so that none of them can be changed on the way.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.errors import InvalidInput
from server.membership.crypto import derived_keys

_VERSION: Final = 1
_POINT: Final = 65
_NONCE: Final = 12
_TAG: Final = 16
_PURPOSE: Final = b"doorline desk item"
_CURVE: Final = ec.SECP256R1()
#: A derived number far longer than the curve's order, so that what remains of it is even.
_SCALAR_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a page seals with.

    Attributes:
        point: uncompressed (65 bytes), in base64.
    """

    key_id: str
    point: str


class EnvelopeKeys:
    """The server's half of what desks seal.

    Args:
        secret_key: of the settings (base64).
        old_secret_keys: of before, by commas: items sealed to them still open.

    Raises:
        InvalidInput: when a key is missing, not base64, or short.
    """

    def __init__(self, secret_key: str, old_secret_keys: str = "") -> None:
        derived = derived_keys(secret_key, old_secret_keys, b"doorline desk envelopes", _SCALAR_BYTES)
        self._keys = {key_id: _private_key(data) for key_id, data in derived}
        self._current: Final = derived[0][0]

    @property
    def public(self) -> PublicKey:
        """The key that pages are given now."""
        point = _point_of(self._keys[self._current].public_key())
        return PublicKey(self._current, base64.b64encode(point).decode())

    def open(self, key_id: str, sealed: bytes, bound_to: Sequence[str]) -> bytes:
        """What was sealed.

        Args:
            sealed: a version byte, the page's public point, a nonce, the ciphertext.
            bound_to: what it was bound to, in the same order.

        Raises:
            InvalidInput: when it was sealed to a key that is not here, or to something else, or was changed.
        """
        private = self._keys.get(key_id)
        if private is None:
            raise InvalidInput(
                f"this was sealed to the key {key_id!r}, which this server doesn't have",
                field="key_id",
                remedy="start the server with that key among DOORLINE_OLD_SECRET_KEYS and send it again",
            )
        if len(sealed) < 1 + _POINT + _NONCE + _TAG or sealed[0] != _VERSION:
            raise InvalidInput("this is no sealed item", field="sealed", remedy="reload the desk's page")
        point, nonce, ciphertext = (
            sealed[1 : 1 + _POINT],
            sealed[1 + _POINT : 1 + _POINT + _NONCE],
            sealed[1 + _POINT + _NONCE :],
        )
        try:
            sender = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
            key = _shared(private.exchange(ec.ECDH(), sender), point, _point_of(private.public_key()))
            return AESGCM(key).decrypt(nonce, ciphertext, "\n".join(bound_to).encode())
        except (InvalidTag, ValueError) as error:
            raise InvalidInput(
                "this item was changed after it was sealed, or sealed for something else", field="sealed"
            ) from error


def seal(public: PublicKey, content: bytes, bound_to: Sequence[str], nonce: bytes) -> bytes:
    """What a page does, for programs that stand in for one.

    Args:
        nonce: 12 random bytes.
    """
    receiver = base64.b64decode(public.point)
    own = ec.generate_private_key(_CURVE)
    point = _point_of(own.public_key())
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, receiver))
    ciphertext = AESGCM(_shared(shared, point, receiver)).encrypt(nonce, content, "\n".join(bound_to).encode())
    return bytes([_VERSION]) + point + nonce + ciphertext


def _shared(secret: bytes, sender: bytes, receiver: bytes) -> bytes:
    """Both points are in it, so that nobody can hand another's envelope on as their own."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE + sender + receiver).derive(secret)


def _private_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    order = _CURVE.group_order
    return ec.derive_private_key(int.from_bytes(data, "big") % (order - 1) + 1, _CURVE)


def _point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
