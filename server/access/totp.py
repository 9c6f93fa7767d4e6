"""One-time codes by the clock (RFC 6238), their secrets at rest, and the recovery codes for who lost the telephone.

What authenticator apps agree on is SHA-1, six digits and thirty seconds; anything else some of them get silently wrong.
The code itself comes from `cryptography`, which is here already: a library of its own would bring nothing but its own
bookkeeping. What it leaves to its caller, and what is easily left out, is that a code must not be taken twice: whoever
reads one over a shoulder has half a minute to use it too. So the step a code belongs to comes back, to be kept.
"""

import base64
import hmac
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from server.errors import InvalidInput

SECONDS: Final = 30
DIGITS: Final = 6
#: A clock may be off by so many steps, either way.
DRIFT: Final = 1
RECOVERY_CODES: Final = 10
_SECRET_BYTES: Final = 20
_NONCE: Final = 12
_SHORTEST_KEY: Final = 32
#: Without those that are read as others.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> bytes:
    """160 random bits."""
    return secrets.token_bytes(_SECRET_BYTES)


def readable(secret: bytes) -> str:
    """A secret to be typed, in groups of four."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def address(secret: bytes, username: str) -> str:
    """What an app reads from the picture: ``otpauth://totp/…``."""
    return TOTP(secret, DIGITS, hashes.SHA1(), SECONDS).get_provisioning_uri(username, "Doorline")  # noqa: S303


def code_at(secret: bytes, moment: datetime) -> str:
    """The code of a moment (aware)."""
    return _code(secret, int(moment.timestamp()) // SECONDS)


def step_of(secret: bytes, code: str, moment: datetime, after: int) -> int | None:
    """The step (30 s since 1970) that a code belongs to; None when it is wrong, too old, or was taken.

    Args:
        moment: now (aware).
        after: the last step a code was taken of; it and those before are gone.
    """
    typed = code.replace(" ", "").encode()
    now = int(moment.timestamp()) // SECONDS
    found = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(_code(secret, step).encode(), typed) and step > after:
            found = step
    return found


def _code(secret: bytes, step: int) -> str:
    return HOTP(secret, DIGITS, hashes.SHA1()).generate(step).decode()  # noqa: S303


def new_recovery_codes() -> list[str]:
    """Ten codes of sixteen letters and digits, 79 bits each: too many to guess, hashed fast or slow."""
    return [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4)) for _ in range(RECOVERY_CODES)
    ]


def recovery_hash(code: str) -> bytes:
    """The hash of a recovery code, however it was typed."""
    return sha256("".join(each for each in code.lower() if each.isalnum()).encode()).digest()


class SecretBox:
    """Encrypts secrets of one-time codes, each for its user, under keys derived from the server's secret key.

    Args:
        secret_key: base64 of 32 bytes or more; empty: nothing can be encrypted or read.
        old_keys: those of before, by commas; what stands under them is still read.
    """

    def __init__(self, secret_key: str, old_keys: str = "") -> None:
        keys = [secret_key, *old_keys.split(",")]
        self._ciphers = [AESGCM(_derived(key.strip())) for key in keys if key.strip()] if secret_key else []

    def seal(self, secret: bytes, user_id: str) -> bytes:
        """Encrypt.

        Raises:
            InvalidInput: without a secret key.
        """
        if not self._ciphers:
            raise InvalidInput(
                "one-time codes need the server's secret key", field="secret_key", remedy="set DOORLINE_SECRET_KEY"
            )
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, secret, user_id.encode())

    def open(self, sealed: bytes, user_id: str) -> tuple[bytes, bool]:
        """Decrypt; and whether it stood under an old key and should be sealed anew.

        Raises:
            InvalidInput: it was sealed under a key that isn't here, or for another user.
        """
        for number, cipher in enumerate(self._ciphers):
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], user_id.encode()), number > 0
            except InvalidTag:
                continue
        raise InvalidInput(
            "the secret of one-time codes can't be read",
            field="secret_key",
            remedy="check DOORLINE_SECRET_KEY and DOORLINE_OLD_SECRET_KEYS, or turn this user's codes off",
        )


def _derived(key: str) -> bytes:
    try:
        master = base64.b64decode(key, validate=True)
    except ValueError as error:
        raise InvalidInput("the secret key is no base64", field="secret_key", remedy="see .env.example") from error
    if len(master) < _SHORTEST_KEY:
        raise InvalidInput("the secret key is too short", field="secret_key", remedy="use 32 random bytes in base64")
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"doorline one-time codes").derive(master)
