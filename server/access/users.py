"""People who sign in: made, changed, disabled, given another password.

Whoever's rights change is signed out everywhere: a session made under other rights must not outlive them. And the last
administrator can't be lost, or nobody could make another but whoever owns the database.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from server.access import audit, checks, repository, session_repository
from server.access.base import spelled
from server.access.models import CHAIN_ROLES, Locale, Scope, SignedIn, User, UserRole
from server.access.sessions import Sessions
from server.errors import Conflict, Forbidden, InvalidInput, NotSignedIn
from server.storage.pool import Connection

#: A temporary password opens the form that replaces it for so long.
TEMPORARY: Final = timedelta(days=3)
#: Without those that are read as others, when somebody reads it out.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def temporary_password() -> str:
    """Three groups of five letters and digits, 74 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3))


class Users(Sessions):
    """Users and their passwords."""

    def create_user(
        self,
        scope: Scope,
        username: str,
        password: str,
        display_name: str,
        role: UserRole,
        stores: Iterable[str] = (),
        locale: Locale = "zh",
        *,
        is_temporary: bool = False,
    ) -> User:
        """Add a person who can sign in.

        Args:
            stores: the stores a region, manager or desk user works for; none for admin and hq, who see all.
            is_temporary: the password has to be replaced at the first sign-in, within three days.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: for a bad name, role, language, password or store.
            Conflict: when the name is taken.
        """
        checks.require_administrator(scope)
        name = spelled(username)
        store_ids = sorted(set(stores))
        checks.check_user(name, role, locale, store_ids)
        checks.check_new_name(name)
        password_hash = self._passwords.hash(password)
        now = self._clock()
        with self._db.transaction() as conn:
            checks.check_stores(repository.unknown_stores(conn, store_ids))
            user_id = repository.insert_user(conn, name, display_name.strip() or name, password_hash, role, locale)
            if user_id is None:
                raise Conflict(f"there is a user {name!r} already", field="username", remedy="choose another name")
            if is_temporary:
                repository.set_password(conn, user_id, password_hash, now + TEMPORARY)
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

    def invite_user(
        self,
        scope: Scope,
        username: str,
        display_name: str,
        role: UserRole,
        stores: Iterable[str] = (),
        locale: Locale = "zh",
    ) -> tuple[User, str]:
        """Add a person with a temporary password, which is in the answer and nowhere else; as `create_user`."""
        password = temporary_password()
        user = self.create_user(scope, username, password, display_name, role, stores, locale, is_temporary=True)
        return user, password

    def users(self, scope: Scope) -> list[User]:
        """All users, for admins."""
        checks.require_administrator(scope)
        with self._db.read() as conn:
            return repository.users(conn)

    def user(self, scope: Scope, username: str) -> User:
        """One user, for admins.

        Raises:
            NotFound: there is none of that name.
        """
        checks.require_administrator(scope)
        return self._user(username)

    def change_user(
        self,
        scope: Scope,
        username: str,
        *,
        display_name: str | None = None,
        role: UserRole | None = None,
        stores: Iterable[str] | None = None,
        locale: Locale | None = None,
    ) -> User:
        """Change what is given and leave the rest; other rights end the user's sessions. For admins.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: for a bad role, language or store.
            Forbidden: for who comes from the identity provider, which says their role; and for the last administrator.
        """
        checks.require_administrator(scope)
        now = self._clock()
        with self._db.transaction() as conn:
            administrators = repository.lock_administrators(conn)
            old = self._user_in(conn, username)
            new_role = role or old.role
            kept = [] if new_role in CHAIN_ROLES else old.stores
            store_ids = kept if stores is None else sorted(set(stores))
            new_locale = locale or old.locale
            checks.check_user(old.username, new_role, new_locale, store_ids)
            checks.check_stores(repository.unknown_stores(conn, store_ids))
            has_other_rights = (new_role, store_ids) != (old.role, old.stores)
            if has_other_rights and old.is_external:
                raise Forbidden(
                    "the identity provider says this user's role and stores", remedy="change the groups there"
                )
            if new_role != "admin":
                _keep_one(administrators, old)
            name = old.display_name if display_name is None else display_name.strip() or old.username
            repository.change_user(conn, old.user_id, name, new_role, new_locale)
            repository.remove_user_stores(conn, old.user_id)
            repository.add_user_stores(conn, old.user_id, store_ids)
            ended = session_repository.delete_of(conn, old.user_id) if has_other_rights else 0
            detail: dict[str, object] = {
                "was": {"role": old.role, "stores": old.stores},
                "is": {"role": new_role, "stores": store_ids},
                "sessions_ended": ended,
            }
            audit.record(conn, now, scope.actor, "user.change", subject=old.username, detail=detail)
            return self._user_in(conn, old.username)

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

    def replace_temporary(self, session: SignedIn, new: str, address: str, agent: str = "") -> SignedIn:
        """Go on from a session that asks for another password.

        Raises:
            InvalidInput: the new one is too short, or the temporary one again.
            NotSignedIn: the session asks for none, or has ended.
        """
        if session.stage != "password":
            raise NotSignedIn("this session asks for no other password", remedy="sign in again")
        user, now = session.user, self._clock()
        password_hash = self._passwords.hash(new)
        with self._db.transaction() as conn:
            old = repository.enabled_user_secret(conn, user.username)
            if old is None:
                raise NotSignedIn("this user may not sign in any more")
            if self._passwords.check(new, old.password_hash)[0]:
                raise InvalidInput("this is the temporary password", field="new", remedy="choose one of your own")
            repository.set_password(conn, user.user_id, password_hash)
            session_repository.delete_of(conn, user.user_id, but=session.session_id)
            audit.record(conn, now, user.username, "user.password", subject=user.username)
            return self._advance(conn, session, address, agent, gave_code=user.has_totp)

    def set_password(self, scope: Scope, username: str, new: str) -> None:
        """Give a user a new password; every session of the user ends. For admins."""
        checks.require_administrator(scope)
        self._replace_password(scope, self._user(username), new)

    def reset_password(self, scope: Scope, username: str) -> str:
        """A temporary password for who forgot theirs; it is in the answer and nowhere else. For admins.

        It opens nothing but the form that replaces it, for three days; every session of the user ends.

        Raises:
            NotFound: there is none of that name.
            Forbidden: for who signs in through the identity provider.
        """
        checks.require_administrator(scope)
        password = temporary_password()
        self._replace_password(scope, self._user(username), password, self._clock() + TEMPORARY)
        return password

    def disable_user(self, scope: Scope, username: str) -> None:
        """Bar a user from signing in and end their sessions. For admins.

        Raises:
            NotFound: there is none of that name.
            Forbidden: for the last administrator.
        """
        checks.require_administrator(scope)
        now = self._clock()
        with self._db.transaction() as conn:
            administrators = repository.lock_administrators(conn)
            user = self._user_in(conn, username)
            _keep_one(administrators, user)
            if user.disabled_at is None:
                repository.disable_user(conn, user.user_id, now)
            session_repository.delete_of(conn, user.user_id)
            audit.record(conn, now, scope.actor, "user.disable", subject=user.username)

    def enable_user(self, scope: Scope, username: str) -> None:
        """Let a user sign in again who was barred. For admins.

        Raises:
            NotFound: there is none of that name.
        """
        checks.require_administrator(scope)
        with self._db.transaction() as conn:
            user = self._user_in(conn, username)
            repository.enable_user(conn, user.user_id)
            audit.record(conn, self._clock(), scope.actor, "user.enable", subject=user.username)

    def _replace_password(self, scope: Scope, user: User, new: str, temporary_until: datetime | None = None) -> None:
        if user.is_external:
            raise Forbidden("this user has no password here", remedy="change it at the identity provider")
        password_hash = self._passwords.hash(new)
        with self._db.transaction() as conn:
            repository.set_password(conn, user.user_id, password_hash, temporary_until)
            ended = session_repository.delete_of(conn, user.user_id)
            detail: dict[str, object] = {"sessions_ended": ended}
            if temporary_until is not None:
                detail["temporary"] = True
            self._note_password(conn, scope, user, detail)

    def _note_password(self, conn: Connection, scope: Scope, user: User, detail: dict[str, object]) -> None:
        audit.record(conn, self._clock(), scope.actor, "user.password", subject=user.username, detail=detail)


def _keep_one(administrators: list[str], user: User) -> None:
    if administrators == [user.user_id]:
        raise Forbidden("this is the last administrator", remedy="make another one first")
