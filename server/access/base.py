"""What all of signing in rests on: the clock, the passwords, the count of attempts, and the hash of tokens.

An attempt is counted before a password or code is checked and forgiven afterwards, because a hundred guesses sent at
once would otherwise all be checked before the first is counted. And only hashes of tokens are stored, so that a copy of
the database signs nobody in.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Final

from server.access import lockout, repository
from server.access.models import Scope, User
from server.access.passwords import Passwords
from server.access.totp import SecretBox
from server.clock import Clock, utc_now
from server.errors import Forbidden, NotFound, NotSignedIn, TooManyRequests
from server.settings import Settings
from server.storage.pool import Connection, Database

#: A session's or key's last use is written at most this often, so that reading a page is not also a write.
TOUCH_EVERY: Final = timedelta(minutes=1)


def hash_of(secret: str) -> bytes:
    """Of a random 256-bit secret: it can't be guessed, so a fast hash is enough."""
    return sha256(secret.encode()).digest()


def spelled(username: str) -> str:
    """The one spelling of a user name."""
    return username.strip().lower()


class AccessBase:
    """What each part of `AccessService` needs.

    Args:
        clock: the time now; tests pass their own.
    """

    def __init__(self, db: Database, settings: Settings, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self._lifetime = timedelta(hours=settings.session_hours)
        self._passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)
        self._box = SecretBox(settings.secret_key.get_secret_value(), settings.old_secret_keys.get_secret_value())

    def _count_attempt(self, name: str, address: str, now: datetime) -> repository.UserSecret | None:
        """Count an attempt before it is looked at; forgiven by `_forgive`.

        Raises:
            TooManyRequests: there were too many; nothing is to be looked at.
        """
        with self._db.transaction() as conn:
            repository.lock_sign_ins(conn, name, address)
            repository.purge_failures(conn, now - lockout.WINDOW)
            wait = lockout.retry_after(repository.failures(conn, name, address, now - lockout.WINDOW), now)
            if wait <= timedelta(0):
                repository.insert_failure(conn, name, address, now)
            secret = repository.enabled_user_secret(conn, name)
        if wait > timedelta(0):
            seconds = ceil(wait.total_seconds())
            raise TooManyRequests(
                "too many failed sign-ins",
                retry_after=seconds,
                remedy=f"wait {seconds} seconds, then try again",
            )
        return secret

    def _own_user(self, scope: Scope) -> User:
        if scope.role == "system" or scope.user_id.startswith("key:"):
            raise Forbidden("a key is not a person", remedy="sign in with a user name and a password")
        with self._db.read() as conn:
            user = repository.user_by_id(conn, scope.user_id)
        if user is None:
            raise NotSignedIn("this user no longer exists")
        return user

    def _user(self, username: str) -> User:
        with self._db.read() as conn:
            return self._user_in(conn, username)

    @staticmethod
    def _user_in(conn: Connection, username: str) -> User:
        user = repository.user_by_name(conn, spelled(username))
        if user is None:
            raise NotFound(f"there is no user {username!r}", field="username")
        return user
