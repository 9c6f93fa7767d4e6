"""Who is asking, and for which stores: the types every other server package takes as an argument.

A `Scope` is made once per request, from a session or a key, and is handed down to every repository function that
reads store data. The trap it avoids is the forgotten filter: SQL that trusts its caller to have checked the store.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args

from server.errors import Forbidden

Role = Literal["admin", "hq", "region", "manager", "desk", "till", "system"]
Locale = Literal["zh", "en"]
#: Roles a person can have; `till` belongs to keys and `system` to jobs.
UserRole = Literal["admin", "hq", "region", "manager", "desk"]
KeyRole = Literal["till", "hq", "admin"]
#: What a session still asks for before it opens anything: a one-time code, its set-up, another password.
Stage = Literal["open", "code", "enrol", "password"]

USER_ROLES: Final[tuple[str, ...]] = get_args(UserRole)
KEY_ROLES: Final[tuple[str, ...]] = get_args(KeyRole)
LOCALES: Final[tuple[str, ...]] = get_args(Locale)
#: Roles that see the whole chain; every other role works for named stores.
CHAIN_ROLES: Final = frozenset({"admin", "hq", "system"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What one request may see and do.

    Attributes:
        user_id: of the signed-in user, or ``key:<id>`` for an API key, or ``system``.
        stores: the only stores it may touch; None means all of them.
        locale: language of what is shown.
        name: how it stands in the audit trail (user name, or the key's name).
        rights: of a key that may do some things only (`ApiKey.rights`); None: whatever its role may.
    """

    user_id: str
    role: Role
    stores: frozenset[str] | None
    locale: Locale = "zh"
    name: str = ""
    rights: frozenset[str] | None = None

    @classmethod
    def system(cls, name: str = "system") -> "Scope":
        """The scope of jobs and of commands run on the server itself: everything."""
        return cls(user_id="system", role="system", stores=None, name=name)

    @property
    def actor(self) -> str:
        """Who stands in the audit trail."""
        return self.name or self.user_id

    @property
    def store_ids(self) -> list[str] | None:
        """Its stores as an SQL parameter: ``%(stores)s::text[] IS NULL OR store_id = ANY(%(stores)s)``."""
        return None if self.stores is None else sorted(self.stores)

    def allows(self, store_id: str) -> bool:
        """Whether it covers a store."""
        return self.stores is None or store_id in self.stores

    def require(self, store_id: str) -> None:
        """Refuse a store that is not covered.

        The answer is the same whether the store exists or not, so it tells nothing about other people's stores.

        Raises:
            Forbidden: when the store is not among its stores.
        """
        if not self.allows(store_id):
            raise Forbidden(
                f"store {store_id!r} is not one of yours",
                field="store_id",
                remedy="choose one of your own stores, or ask an administrator to add this one to you",
            )

    def require_whole_chain(self) -> None:
        """Refuse whoever works for some stores only: a key of a chain role may be limited to some.

        Raises:
            Forbidden: when there are stores it doesn't cover.
        """
        if self.stores is not None:
            raise Forbidden("this is for the whole chain", remedy="ask someone who sees every store")

    def require_right(self, area: str, *, is_write: bool) -> None:
        """Refuse a key what it was not made for.

        Args:
            area: the first part of the address behind ``/api/v1/``.

        Raises:
            Forbidden: naming the right it has not.
        """
        right = f"{area}:{'write' if is_write else 'read'}"
        if self.rights is not None and right not in self.rights and area != "me":
            raise Forbidden(f"this key may not do this: it has not the right {right!r}", remedy="use another key")

    def has_role(self, *roles: Role) -> bool:
        """Whether its role is one of `roles`; the system may do everything."""
        return self.role == "system" or self.role in roles

    def require_role(self, *roles: Role) -> None:
        """Refuse any role but `roles`.

        Raises:
            Forbidden: naming the roles that may.
        """
        if not self.has_role(*roles):
            raise Forbidden(
                f"the role {self.role!r} may not do this",
                remedy=f"ask someone with the role {' or '.join(roles)}",
            )


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in. `stores` is empty for roles that see the whole chain.

    Attributes:
        has_totp: signs in with a one-time code as well.
        must_change: has a temporary password, which has to be replaced first.
        is_external: signs in through the identity provider, and never by password.
    """

    user_id: str
    username: str
    display_name: str
    role: UserRole
    locale: Locale
    stores: list[str] = field(default_factory=list)
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    has_totp: bool = False
    must_change: bool = False
    is_external: bool = False

    def scope(self) -> Scope:
        """What this user may see."""
        return Scope(
            user_id=self.user_id,
            role=self.role,
            stores=None if self.role in CHAIN_ROLES else frozenset(self.stores),
            locale=self.locale,
            name=self.username,
        )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A live session.

    Attributes:
        token: what the browser holds; the database has its hash only.
        csrf: must come back with every unsafe request of this session.
        expires_at: the absolute end (UTC); unused, it ends earlier.
        stage: what it asks for before it opens anything; `open` for a session that does.
        session_id: its name in lists; worth nothing to who hasn't the token.
    """

    token: str
    user: User
    csrf: str
    expires_at: datetime
    stage: Stage = "open"
    session_id: str = ""

    @property
    def scope(self) -> Scope:
        """What this session may see."""
        return self.user.scope()


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A live session as its owner or an administrator sees it.

    Attributes:
        agent: what the browser calls itself.
        is_current: the one that asks.
    """

    session_id: str
    username: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    agent: str
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a till or a BI tool, without its secret.

    Attributes:
        rights: ``area:read`` and ``area:write``, by the first part of the address; none: whatever its role may.
        follows: the key it took over from.
    """

    key_id: str
    name: str
    role: KeyRole
    store_ids: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    rights: list[str] = field(default_factory=list)
    follows: str | None = None

    def scope(self) -> Scope:
        """What this key may see; a key of hq or admin without stores sees all."""
        whole_chain = self.role in CHAIN_ROLES and not self.store_ids
        return Scope(
            user_id=f"key:{self.key_id}",
            role=self.role,
            stores=None if whole_chain else frozenset(self.store_ids),
            # Names of keys are not unique, and the trail must say which one it was.
            name=f"key:{self.name} ({self.key_id})",
            rights=frozenset(self.rights) or None,
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit trail."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    store_id: str | None
    detail: dict[str, object]
