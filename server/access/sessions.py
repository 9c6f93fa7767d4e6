"""Sessions: opened in as many steps as the user has to take, with another token at each, listed and ended.

A session that is not open yet stands in the same table and opens nothing: `session` doesn't know it. The trap it avoids
is the half-signed-in user whom one forgotten check lets through.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

import structlog

from server.access import audit, checks, repository, session_repository
from server.access.base import TOUCH_EVERY, AccessBase, hash_of, spelled
from server.access.models import Scope, SessionInfo, SignedIn, Stage, User
from server.access.session_repository import NewSession
from server.errors import NotFound, NotSignedIn
from server.storage.pool import Connection

#: Whoever gave the password has so long to give the rest.
PENDING: Final = timedelta(minutes=10)
_AGENT: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

_log = structlog.get_logger(__name__)


class Sessions(AccessBase):
    """Signing in and out."""

    def sign_in(
        self, username: str, password: str, address: str, previous_token: str | None = None, agent: str = ""
    ) -> SignedIn:
        """Open a session, or the first step towards one: see `SignedIn.stage`.

        Args:
            address: of the caller, for the lock-out and the audit trail.
            previous_token: a session the browser came with; it ends, so that a planted one is worth nothing.
            agent: what the browser calls itself, for the list of sessions.

        Raises:
            NotSignedIn: wrong name or password; it isn't said which.
            TooManyRequests: too many failures; the password was not looked at.
        """
        name = spelled(username)[:64]
        now = self._clock()
        secret = self._count_attempt(name, address, now)
        matches, renewed = self._passwords.check(password, secret.password_hash if secret else None)
        if secret is not None and secret.password_until is not None and now >= secret.password_until:
            matches = False
        if secret is None or not matches:
            with self._db.transaction() as conn:
                # What stands in the trail stands for ever, and some type their password where the name belongs.
                who = name if secret is not None else "unknown"
                audit.record(conn, now, who, "session.refused", subject=who, detail={"address": address})
            raise NotSignedIn("user name or password is wrong", remedy="check both and try again")
        with self._db.transaction() as conn:
            if not repository.lock_secret(conn, secret):
                raise NotSignedIn("the password was changed just now", remedy="sign in with the new one")
            session_repository.purge(conn, now, now - self._idle)
            if previous_token:
                session_repository.delete(conn, hash_of(previous_token))
            if renewed is not None:
                repository.set_password_hash(conn, secret.user_id, renewed)
            user = repository.user_by_id(conn, secret.user_id)
            if user is None:
                raise NotSignedIn("this user was removed just now")
            return self._open(conn, user, address, agent, now, gave_code=False)

    def session(self, token: str, *, touch: bool = True) -> SignedIn | None:
        """The live, open session of a token; None when there is none, or it ended by idling or by age.

        Args:
            touch: whether somebody is there, so that the session's idle time begins anew. What a page asks by itself
                must not say so: a tablet left alone would stay signed in.
        """
        return self._live(token, lambda stage: stage == "open", touch=touch)

    def pending(self, token: str) -> SignedIn | None:
        """The session of a token that still asks for something; None when there is none, or it ended."""
        return self._live(token, lambda stage: stage != "open")

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens when there is none."""
        now = self._clock()
        with self._db.transaction() as conn:
            user_id = session_repository.delete(conn, hash_of(token))
            if user_id is None:
                return
            user = repository.user_by_id(conn, user_id)
            name = user.username if user else user_id
            audit.record(conn, now, name, "session.close", subject=name)

    def sessions(self, scope: Scope, username: str | None = None, current: str = "") -> list[SessionInfo]:
        """Live sessions, the one used last first: one's own, or for administrators those of a user.

        Args:
            current: id of the session that asks.
        """
        user = self._whose(scope, username)
        now = self._clock()
        with self._db.read() as conn:
            found = session_repository.live(conn, user.user_id, now, now - self._idle)
        return [
            SessionInfo(
                each.session_id,
                each.username,
                each.created_at,
                each.last_seen_at,
                each.expires_at,
                each.address,
                each.agent,
                is_current=each.session_id == current,
            )
            for each in found
        ]

    def end_session(self, scope: Scope, session_id: str, username: str | None = None) -> None:
        """End a session: one's own, or for administrators one of a user.

        Raises:
            NotFound: there is none of that id.
        """
        user = self._whose(scope, username)
        with self._db.transaction() as conn:
            if not session_repository.delete_one(conn, user.user_id, session_id):
                raise NotFound("there is no such session, or it has ended", field="session_id")
            self._note_ended(conn, scope, user, 1)

    def end_sessions(self, scope: Scope, username: str | None = None, but: str | None = None) -> int:
        """End all sessions, or all but one: one's own, or for administrators those of a user; how many ended."""
        user = self._whose(scope, username)
        with self._db.transaction() as conn:
            ended = session_repository.delete_of(conn, user.user_id, but)
            self._note_ended(conn, scope, user, ended)
        return ended

    def _note_ended(self, conn: Connection, scope: Scope, user: User, ended: int) -> None:
        detail: dict[str, object] = {"sessions": ended}
        audit.record(conn, self._clock(), scope.actor, "session.end", subject=user.username, detail=detail)

    def _whose(self, scope: Scope, username: str | None) -> User:
        if username is None:
            return self._own_user(scope)
        checks.require_administrator(scope)
        return self._user(username)

    def _live(self, token: str, wanted: Callable[[Stage], bool], *, touch: bool = True) -> SignedIn | None:
        now = self._clock()
        token_hash = hash_of(token)
        with self._db.read() as conn:
            row = session_repository.find(conn, token_hash)
            if row is None or not wanted(row.stage) or now >= row.expires_at or now >= row.last_seen_at + self._idle:
                return None
            user = repository.user_by_id(conn, row.user_id)
        if user is None:
            return None
        if touch and now - row.last_seen_at >= min(TOUCH_EVERY, self._idle / 4):
            with self._db.transaction() as conn:
                session_repository.touch(conn, token_hash, now)
        return SignedIn(token, user, row.csrf_token, row.expires_at, row.stage, row.session_id)

    def _open(
        self, conn: Connection, user: User, address: str, agent: str, now: datetime, *, gave_code: bool
    ) -> SignedIn:
        """A session with a token of its own, at the step that comes next; open, failures before it are forgiven.

        Args:
            gave_code: whether a one-time code was given, here or to the identity provider.
        """
        stage = self._next_stage(user, gave_code=gave_code)
        token, csrf = token_urlsafe(32), token_urlsafe(32)
        expires_at = now + (self._lifetime if stage == "open" else min(PENDING, self._lifetime))
        new = NewSession(
            hash_of(token), user.user_id, csrf, now, expires_at, address, _CONTROL.sub("", agent)[:_AGENT], stage
        )
        session_id = session_repository.insert(conn, new)
        if stage == "open":
            repository.forget_failures(conn, user.username, address)
            audit.record(conn, now, user.username, "session.open", subject=user.username, detail={"address": address})
        return SignedIn(token, user, csrf, expires_at, stage, session_id)

    def _advance(self, conn: Connection, session: SignedIn, address: str, agent: str, *, gave_code: bool) -> SignedIn:
        """The next session in place of one, with another token; the old token opens nothing any more.

        Raises:
            NotSignedIn: when the old one ended meanwhile: two requests must not both go on from it.
        """
        if session_repository.delete(conn, hash_of(session.token)) is None:
            raise NotSignedIn("this session has ended", remedy="sign in again")
        user = repository.user_by_id(conn, session.user.user_id)
        if user is None or user.disabled_at is not None:
            raise NotSignedIn("this user may not sign in any more")
        return self._open(conn, user, address, agent, self._clock(), gave_code=gave_code)

    def _next_stage(self, user: User, *, gave_code: bool) -> Stage:
        if user.is_external:
            return "open"
        if user.has_totp and not gave_code:
            return "code"
        if user.must_change:
            return "password"
        if self.needs_totp(user) and not user.has_totp:
            return "enrol"
        return "open"

    def needs_totp(self, user: User) -> bool:
        """Whether a user's role has to sign in with a one-time code."""
        return user.role in self._settings.totp_required and not user.is_external
