"""Passwords: argon2id through pwdlib, with one detail that is easily forgotten.

A sign-in with an unknown name must take as long as one with a wrong password, or the clock tells which names exist;
so a hash of nothing is made once with the same parameters, and unknown names are checked against it.
"""

from secrets import token_urlsafe
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from server.errors import InvalidInput

SHORTEST: Final = 10
#: Hashing a megabyte on request is a way to keep a server busy.
LONGEST: Final = 256


class Passwords:
    """Hashes and checks passwords.

    Args:
        memory_kib, time_cost: argon2id's cost; tests lower them, nobody else should.
    """

    def __init__(self, *, memory_kib: int, time_cost: int) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=2),))
        self._nobody = self._hasher.hash(token_urlsafe(32))

    def hash(self, password: str) -> str:
        """Hash a new password.

        Raises:
            InvalidInput: when it is too short or absurdly long.
        """
        if len(password) < SHORTEST:
            raise InvalidInput(
                f"the password has {len(password)} characters",
                field="password",
                remedy=f"use at least {SHORTEST}; a few words in a row are easier to remember than symbols",
            )
        if len(password) > LONGEST:
            raise InvalidInput(
                f"the password has {len(password)} characters", field="password", remedy=f"use at most {LONGEST}"
            )
        return self._hasher.hash(password)

    def check(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether `password` matches, and a new hash when the stored one was made with other parameters.

        Args:
            stored: the hash, or None for an unknown user, which takes the same time and never matches.
        """
        if len(password) > LONGEST:
            password = ""
        matches, renewed = self._hasher.verify_and_update(password, stored or self._nobody)
        if stored is None:
            return False, None
        return matches, renewed
