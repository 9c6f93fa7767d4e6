"""Asked for twice, done once: the key a till makes for each thing it asks for, and what tells it from another.

A till that got no answer asks again, and must not get a second coupon or pay twice; a till whose counter was set back
uses an old key for something new, and must not be told that it was done. So what was asked for is kept beside its key.
"""

import json
from hashlib import sha256
from typing import Final

from server.errors import InvalidInput

_LONGEST_KEY: Final = 100
_LONGEST_REASON: Final = 500


def checked_key(key: str) -> str:
    """An idempotency key as it is kept, without blanks around it.

    Raises:
        InvalidInput: it is empty, too long or unprintable.
    """
    stripped = key.strip()
    if not stripped or len(stripped) > _LONGEST_KEY or not stripped.isprintable():
        raise InvalidInput(
            "an idempotency key is needed",
            field="idempotency_key",
            remedy=f"send 1 to {_LONGEST_KEY} printable characters that are new for each request, such as a UUID",
        )
    return stripped


def request_hash(request: object) -> bytes:
    """What tells a request sent again from another one under the same key.

    Args:
        request: what JSON can say; the order of names in it is no matter.
    """
    return sha256(json.dumps(request, sort_keys=True).encode()).digest()


def checked_reason(reason: str) -> str:
    """Why something is done, in a person's words, without blanks around them.

    Raises:
        InvalidInput: there are none, or they are endless.
    """
    stripped = reason.strip()
    if not 1 <= len(stripped) <= _LONGEST_REASON:
        raise InvalidInput(
            "a reason is needed", field="reason", remedy=f"say why, in {_LONGEST_REASON} characters at most"
        )
    return stripped
