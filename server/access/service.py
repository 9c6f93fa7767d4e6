"""Signing in, sessions, users and API keys.

Two traps shaped this file. An attempt is counted before the password is checked and forgiven afterwards, because a
hundred guesses sent at once would otherwise all be checked before the first is counted. And only hashes of tokens
are stored, so that a copy of the database signs nobody in.
"""

import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from secrets import token_hex, token_urlsafe
from typing import Final

import structlog

from server.access import audit, audit_repository, checks, lockout, repository
from server.access.models import (
    KEY_ROLES,
    ApiKey,
    AuditEntry,
    KeyRole,
    Locale,
    Scope,
    SignedIn,
    User,
    UserRole,
)
from server.access.passwords import Passwords
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, NotSignedIn, TooManyRequests
from server.settings import Settings
from server.storage.pool import Database

_KEY: Final = re.compile(r"dl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
#: A session's or key's last use is written at most this often, so that reading a page is not also a write.
_TOUCH_EVERY: Final = timedelta(minutes=1)
#: Beyond any till's life, and well within the calendar: a time at its end could be stored and not read again.
_LONGEST_KEY: Final = timedelta(days=36_525)

_log = structlog.get_logger(__name__)


def _hash(secret: str) -> bytes:
    """Of a random 256-bit secret: it can't be guessed, so a fast hash is enough."""
    return sha256(secret.encode()).digest()


def _username(text: str) -> str:
    """The one spelling of a user name."""
    return text.strip().lower()


class AccessService:
    """Who is asking.

    Args:
        clock: the time now; tests pass their own.
    """

    def __init__(self, db: Database, settings: Settings, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self._lifetime = timedelta(hours=settings.session_hours)
        self._passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)

    # -- users

    def create_user(
        self,
        scope: Scope,
        username: str,
        password: str,
        display_name: str,
        role: UserRole,
        stores: Iterable[str] = (),
        locale: Locale = "zh",
    ) -> User:
        """Add a person who can sign in.

        Args:
            stores: the stores a region, manager or desk user works for; none for admin and hq, who see all.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: for a bad name, role, language, password or store.
            Conflict: when the name is taken.
        """
        checks.require_administrator(scope)
        name = _username(username)
        store_ids = sorted(set(stores))
        checks.check_user(name, role, locale, store_ids)
        password_hash = self._passwords.hash(password)
        now = self._clock()
        with self._db.transaction() as conn:
            checks.check_stores(repository.unknown_stores(conn, store_ids))
            user_id = repository.insert_user(conn, name, display_name.strip() or name, password_hash, role, locale)
            if user_id is None:
                raise Conflict(f"there is a user {name!r} already", field="username", remedy="choose another name")
            repository.add_user_stores(conn, user_id, store_ids)
            audit.record(
                conn,
                now,
                scope.actor,
                "user.create",
                subject=name,
                detail={"role": role, "stores": list(store_ids)},
            )
            user = repository.user_by_id(conn, user_id)
        assert user is not None, "written above in the same transaction"  # noqa: S101
        return user

    def users(self, scope: Scope) -> list[User]:
        """All users, for admins."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return repository.users(conn)

    def set_locale(self, scope: Scope, locale: Locale) -> None:
        """Change the language of the signed-in user.

        Raises:
            InvalidInput: for a language there is no translation to.
            Forbidden: for a key, which has no language.
        """
        checks.check_locale(locale)
        user = self._own_user(scope)
        with self._db.transaction() as conn:
            repository.set_locale(conn, user.user_id, locale)

    def change_password(self, scope: Scope, current: str, new: str, address: str) -> None:
        """Change one's own password; every session of the user ends, this one too.

        A wrong current password counts as a failed sign-in: a till left signed in must not be a place to guess at.

        Raises:
            InvalidInput: when the current password is wrong or the new one too short.
            TooManyRequests: too many failures; the password was not looked at.
        """
        user = self._own_user(scope)
        secret = self._count_attempt(user.username, address, self._clock())
        matches, _ = self._passwords.check(current, secret.password_hash if secret else None)
        if not matches:
            raise InvalidInput("the current password is wrong", field="current", remedy="type it again")
        with self._db.transaction() as conn:
            repository.forget_failures(conn, user.username, address)
        self._replace_password(scope, user, new)

    def set_password(self, scope: Scope, username: str, new: str) -> None:
        """Give a user a new password; every session of the user ends. For admins."""
        checks.require_administrator(scope)
        self._replace_password(scope, self._user(username), new)

    def disable_user(self, scope: Scope, username: str) -> None:
        """Bar a user from signing in and end their sessions. For admins."""
        checks.require_administrator(scope)
        user = self._user(username)
        now = self._clock()
        with self._db.transaction() as conn:
            repository.disable_user(conn, user.user_id, now)
            repository.delete_sessions_of(conn, user.user_id)
            audit.record(conn, now, scope.actor, "user.disable", subject=user.username)

    # -- sessions

    def sign_in(self, username: str, password: str, address: str, previous_token: str | None = None) -> SignedIn:
        """Open a session.

        Args:
            address: of the caller, for the lock-out and the audit trail.
            previous_token: a session the browser came with; it ends, so that a planted one is worth nothing.

        Raises:
            NotSignedIn: wrong name or password; it isn't said which.
            TooManyRequests: too many failures; the password was not looked at.
        """
        name = _username(username)[:64]
        now = self._clock()
        secret = self._count_attempt(name, address, now)
        matches, renewed = self._passwords.check(password, secret.password_hash if secret else None)
        if secret is None or not matches:
            with self._db.transaction() as conn:
                audit.record(conn, now, name, "session.refused", subject=name, detail={"address": address})
            raise NotSignedIn("user name or password is wrong", remedy="check both and try again")
        token = token_urlsafe(32)
        csrf = token_urlsafe(32)
        expires_at = now + self._lifetime
        with self._db.transaction() as conn:
            if not repository.lock_secret(conn, secret):
                raise NotSignedIn("the password was changed just now", remedy="sign in with the new one")
            repository.forget_failures(conn, name, address)
            repository.purge_sessions(conn, now, now - self._idle)
            if previous_token:
                repository.delete_session(conn, _hash(previous_token))
            if renewed is not None:
                repository.set_password_hash(conn, secret.user_id, renewed)
            repository.insert_session(conn, _hash(token), secret.user_id, csrf, now, expires_at, address)
            audit.record(conn, now, name, "session.open", subject=name, detail={"address": address})
            user = repository.user_by_id(conn, secret.user_id)
        if user is None:
            raise NotSignedIn("this user was removed just now")
        return SignedIn(token=token, user=user, csrf=csrf, expires_at=expires_at)

    def session(self, token: str) -> SignedIn | None:
        """The live session of a token; None when there is none, or it ended by idling or by age."""
        now = self._clock()
        token_hash = _hash(token)
        with self._db.read() as conn:
            row = repository.session(conn, token_hash)
            user = repository.user_by_id(conn, row.user_id) if row else None
        if row is None or user is None or now >= row.expires_at or now >= row.last_seen_at + self._idle:
            return None
        if now - row.last_seen_at >= min(_TOUCH_EVERY, self._idle / 4):
            with self._db.transaction() as conn:
                repository.touch_session(conn, token_hash, now)
        return SignedIn(token=token, user=user, csrf=row.csrf_token, expires_at=row.expires_at)

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens when there is none."""
        now = self._clock()
        with self._db.transaction() as conn:
            user_id = repository.delete_session(conn, _hash(token))
            if user_id is None:
                return
            user = repository.user_by_id(conn, user_id)
            name = user.username if user else user_id
            audit.record(conn, now, name, "session.close", subject=name)

    def purge(self) -> int:
        """Delete sessions that have ended and failed sign-ins that no longer count; how many. For the clean-up job."""
        now = self._clock()
        with self._db.transaction() as conn:
            sessions = repository.purge_sessions(conn, now, now - self._idle)
            failures = repository.purge_failures(conn, now - lockout.WINDOW)
        return sessions + failures

    # -- keys

    def create_api_key(
        self,
        scope: Scope,
        name: str,
        role: KeyRole,
        stores: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> str:
        """Make a key for a till or a BI tool.

        Args:
            stores: what it may touch; a till's key needs some, a key of hq or admin without any sees the chain.
            expires_at: aware; None means it stays until revoked.

        Returns:
            the key, which is shown this once and can't be had again.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: for a bad role, store or time.
        """
        checks.require_administrator(scope)
        now = self._clock()
        store_ids = sorted(set(stores))
        if role not in KEY_ROLES:
            raise InvalidInput(
                f"a key can't have the role {role!r}", field="role", remedy=f"use one of {', '.join(KEY_ROLES)}"
            )
        if not name.strip():
            raise InvalidInput("the key has no name", field="name", remedy="say which till or tool will use it")
        if role == "till" and not store_ids:
            raise InvalidInput("a till's key needs its store", field="stores", remedy="name at least one store")
        if expires_at is not None and (expires_at.tzinfo is None or not now < expires_at < now + _LONGEST_KEY):
            raise InvalidInput(
                "the key would have expired already or live for ever, or its time has no timezone",
                field="expires_at",
                remedy="give a time in the future with an offset, such as 2030-01-01T00:00:00Z",
            )
        key_id, secret = token_hex(6), token_urlsafe(32)
        key = ApiKey(key_id, name.strip(), role, store_ids, now, expires_at, None, None)
        with self._db.transaction() as conn:
            checks.check_stores(repository.unknown_stores(conn, store_ids))
            repository.insert_api_key(conn, key, _hash(secret))
            audit.record(
                conn,
                now,
                scope.actor,
                "api_key.create",
                subject=key_id,
                detail={"name": key.name, "role": role, "stores": list(store_ids)},
            )
        return f"dl_{key_id}_{secret}"

    def api_key(self, plaintext: str) -> Scope:
        """The scope of a key.

        Raises:
            NotSignedIn: unknown, revoked or expired; it isn't said which.
        """
        refusal = NotSignedIn("this key is not valid", remedy="ask an administrator for a new one")
        form = _KEY.fullmatch(plaintext)
        if form is None:
            raise refusal
        key_id, secret = form.groups()
        now = self._clock()
        with self._db.read() as conn:
            stored = repository.api_key_secret(conn, key_id)
            key = repository.api_key(conn, key_id)
        if stored is None or key is None or not hmac.compare_digest(stored.secret_hash, _hash(secret)):
            _log.warning("key refused", key_id=key_id)
            raise refusal
        if key.revoked_at is not None or (key.expires_at is not None and now >= key.expires_at):
            _log.warning("ended key used", key_id=key_id, name=key.name)
            raise refusal
        if key.last_used_at is None or now - key.last_used_at >= _TOUCH_EVERY:
            with self._db.transaction() as conn:
                repository.touch_api_key(conn, key_id, now)
        return key.scope()

    def api_keys(self, scope: Scope) -> list[ApiKey]:
        """All keys without their secrets, for admins."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return repository.api_keys(conn)

    def revoke_api_key(self, scope: Scope, key_id: str) -> None:
        """End a key. For admins.

        Raises:
            NotFound: when there is none, or it has ended already.
        """
        checks.require_administrator(scope)
        now = self._clock()
        with self._db.transaction() as conn:
            if not repository.revoke_api_key(conn, key_id, now):
                raise NotFound(f"there is no live key {key_id!r}", field="key_id")
            audit.record(conn, now, scope.actor, "api_key.revoke", subject=key_id)

    def audit_trail(self, scope: Scope, limit: int = 200) -> list[AuditEntry]:
        """The newest lines of the audit trail, for admins."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return audit_repository.newest(conn, limit)

    # -- inside

    def _count_attempt(self, name: str, address: str, now: datetime) -> repository.UserSecret | None:
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

    def _replace_password(self, scope: Scope, user: User, new: str) -> None:
        password_hash = self._passwords.hash(new)
        now = self._clock()
        with self._db.transaction() as conn:
            repository.set_password_hash(conn, user.user_id, password_hash)
            ended = repository.delete_sessions_of(conn, user.user_id)
            audit.record(
                conn,
                now,
                scope.actor,
                "user.password",
                subject=user.username,
                detail={"sessions_ended": ended},
            )

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
            user = repository.user_by_name(conn, _username(username))
        if user is None:
            raise NotFound(f"there is no user {username!r}", field="username")
        return user
