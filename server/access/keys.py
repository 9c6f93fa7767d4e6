"""API keys of tills and BI tools: hashed, for some stores and some rights, ending, replaced with an overlap."""

import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from secrets import token_hex, token_urlsafe
from typing import Final

import structlog

from server.access import audit, checks, key_repository, repository
from server.access.base import TOUCH_EVERY, AccessBase, hash_of
from server.access.models import KEY_ROLES, ApiKey, KeyRole, Scope
from server.errors import Conflict, InvalidInput, NotFound, NotSignedIn
from server.storage.pool import Connection

_KEY: Final = re.compile(r"dl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_RIGHT: Final = re.compile(r"[a-z][a-z-]{0,39}:(read|write)")
#: Beyond any till's life, and well within the calendar: a time at its end could be stored and not read again.
_LONGEST_KEY: Final = timedelta(days=36_525)
#: How long a key that was replaced is taken beside the new one, at the most.
LONGEST_OVERLAP: Final = timedelta(days=30)

_log = structlog.get_logger(__name__)


class Keys(AccessBase):
    """API keys."""

    def create_api_key(
        self,
        scope: Scope,
        name: str,
        role: KeyRole,
        stores: Iterable[str] = (),
        expires_at: datetime | None = None,
        rights: Iterable[str] = (),
    ) -> str:
        """Make a key for a till or a BI tool.

        Args:
            stores: what it may touch; a till's key needs some, a key of hq or admin without any sees the chain.
            expires_at: aware; None means it stays until revoked.
            rights: such as ``kpi:read`` or ``receipts:write``; none means whatever its role may.

        Returns:
            the key, which is shown this once and can't be had again.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: for a bad role, store, right or time.
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
        wanted = sorted(set(rights))
        for right in wanted:
            if not _RIGHT.fullmatch(right):
                raise InvalidInput(
                    f"{right!r} is no right",
                    field="rights",
                    remedy="give the first part of an address and read or write, such as kpi:read or receipts:write",
                )
        key = ApiKey(token_hex(6), name.strip(), role, store_ids, now, expires_at, None, None, wanted)
        with self._db.transaction() as conn:
            checks.check_stores(repository.unknown_stores(conn, store_ids))
            return self._insert(conn, scope, key, "api_key.create")

    def rotate_api_key(self, scope: Scope, key_id: str, overlap: timedelta) -> str:
        """Another key in place of one, for the same; the old one is taken for a while yet, so no till stands still.

        Args:
            overlap: for how long the old one is still taken; up to 30 days.

        Returns:
            the new key, which is shown this once. It ends when the old one would have ended, counted from now.

        Raises:
            NotFound: there is no live key of that id.
            InvalidInput: the overlap is too long, or less than nothing.
            Conflict: another key was made in its place, and is in force.
        """
        checks.require_administrator(scope)
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidInput("the overlap is out of bounds", field="overlap_hours", remedy="use 0 to 720 hours")
        now = self._clock()
        with self._db.transaction() as conn:
            old = key_repository.lock(conn, key_id)
            if old is None or old.revoked_at is not None or (old.expires_at is not None and now >= old.expires_at):
                raise NotFound(f"there is no live key {key_id!r}", field="key_id")
            # Replacing a key cuts its own time short: how long it was made for stands in the one made in its place.
            after = [each for each in key_repository.keys(conn) if each.follows == old.key_id]
            if any(each.revoked_at is None and (each.expires_at is None or now < each.expires_at) for each in after):
                raise Conflict(
                    f"the key {key_id!r} was replaced already",
                    field="key_id",
                    remedy="replace the one made in its place, or end that one first",
                )
            like = after[-1] if after else old
            ends = None if like.expires_at is None else now + (like.expires_at - like.created_at)
            key = ApiKey(
                token_hex(6), old.name, old.role, old.store_ids, now, ends, None, None, old.rights, follows=old.key_id
            )
            key_repository.end_at(conn, key_id, now + overlap)
            return self._insert(conn, scope, key, "api_key.rotate")

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
            stored = key_repository.secret(conn, key_id)
            key = key_repository.find(conn, key_id)
        if stored is None or key is None or not hmac.compare_digest(stored.secret_hash, hash_of(secret)):
            _log.warning("key refused", key_id=key_id)
            raise refusal
        if key.revoked_at is not None or (key.expires_at is not None and now >= key.expires_at):
            _log.warning("ended key used", key_id=key_id, name=key.name)
            raise refusal
        if key.last_used_at is None or now - key.last_used_at >= TOUCH_EVERY:
            with self._db.transaction() as conn:
                key_repository.touch(conn, key_id, now)
        return key.scope()

    def api_keys(self, scope: Scope) -> list[ApiKey]:
        """All keys without their secrets, for admins."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return key_repository.keys(conn)

    def revoke_api_key(self, scope: Scope, key_id: str) -> None:
        """End a key. For admins.

        Raises:
            NotFound: when there is none, or it has ended already.
        """
        checks.require_administrator(scope)
        now = self._clock()
        with self._db.transaction() as conn:
            if not key_repository.revoke(conn, key_id, now):
                raise NotFound(f"there is no live key {key_id!r}", field="key_id")
            audit.record(conn, now, scope.actor, "api_key.revoke", subject=key_id)

    def _insert(self, conn: Connection, scope: Scope, key: ApiKey, action: str) -> str:
        secret = token_urlsafe(32)
        key_repository.insert(conn, key, hash_of(secret))
        detail: dict[str, object] = {"name": key.name, "role": key.role, "stores": key.store_ids}
        if key.rights:
            detail["rights"] = key.rights
        if key.follows:
            detail["follows"] = key.follows
        audit.record(conn, key.created_at, scope.actor, action, subject=key.key_id, detail=detail)
        return f"dl_{key.key_id}_{secret}"
