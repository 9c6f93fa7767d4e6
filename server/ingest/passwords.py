"""Broker passwords in mosquitto's own file format, so that both embedded brokers read one file.

Mosquitto's helper program is not always installed with the broker; its format (PBKDF2 with SHA-512, ``$7$``) is simple
enough to write here.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wire import topics

#: As mosquitto does by default. These are random machine passwords, not words people choose.
_ROUNDS: Final = 101


def hash_password(password: str) -> str:
    """A salted hash of `password` as mosquitto stores it."""
    salt = os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one `stored` was made of; False for a hash of another form."""
    parts = stored.split("$")
    if len(parts) != 5 or parts[1] != "7" or not parts[2].isdigit():
        return False
    wanted = base64.b64decode(parts[4])
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(parts[3]), int(parts[2]), len(wanted))
    return hmac.compare_digest(derived, wanted)


def read(path: Path) -> dict[str, str]:
    """User names and hashes; empty when there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def write(path: Path, users: Mapping[str, str]) -> None:
    """Replace the file by `users` and their hashes, in one step.

    Raises:
        wire.topics.TopicError: a name that could not stand in a topic.
    """
    text = "".join(f"{topics.check_name(name)}:{stored}\n" for name, stored in sorted(users.items()))
    draft = path.with_name(f"{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
