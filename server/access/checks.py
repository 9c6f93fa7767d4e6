"""What a user, a key and whoever makes them must be; refused by field, with what to do. Pure."""

import re
from typing import Final

from server.access.models import CHAIN_ROLES, LOCALES, USER_ROLES, Scope
from server.errors import InvalidInput

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
#: By these names the server's own doings stand in the trail.
OWN_ACTORS: Final = frozenset(
    {
        "coupons",
        "demo",
        "devices",
        "expiry",
        "jobs",
        "kpi",
        "live",
        "receipts",
        "requests",
        "retention",
        "rules",
        "system",
        "webhooks",
    }
)


def require_administrator(scope: Scope) -> None:
    """An admin of the whole chain: a key of that role for one store could otherwise make itself one for all."""
    scope.require_role("admin")
    scope.require_whole_chain()


def check_new_name(name: str) -> None:
    """A name that is not the server's own in the audit trail.

    Raises:
        InvalidInput: naming the field.
    """
    if name in OWN_ACTORS:
        raise InvalidInput(
            f"the user name {name!r} is what the server calls itself in the audit trail",
            field="username",
            remedy="choose another",
        )


def check_user(name: str, role: str, locale: str, store_ids: list[str]) -> None:
    """A new user's name, role, language and stores, before the database is asked.

    Raises:
        InvalidInput: naming the field.
    """
    if not _USERNAME.fullmatch(name):
        raise InvalidInput(
            f"user name {name!r} is not of the form",
            field="username",
            remedy="use 1-64 of a-z, 0-9, '.', '_', '@' and '-', beginning with a letter or digit",
        )
    if role not in USER_ROLES:
        raise InvalidInput(f"there is no role {role!r}", field="role", remedy=f"use one of {', '.join(USER_ROLES)}")
    check_locale(locale)
    if role in CHAIN_ROLES and store_ids:
        raise InvalidInput(f"the role {role!r} sees every store", field="stores", remedy="leave the stores out")
    if role not in CHAIN_ROLES and not store_ids:
        raise InvalidInput(
            f"the role {role!r} works for stores and none is given", field="stores", remedy="name one or more"
        )


def check_locale(locale: str) -> None:
    """A language there is a translation to.

    Raises:
        InvalidInput: naming the field.
    """
    if locale not in LOCALES:
        raise InvalidInput(
            f"there is no language {locale!r}", field="locale", remedy=f"use one of {', '.join(LOCALES)}"
        )


def check_stores(unknown: list[str]) -> None:
    """That there was no unknown store.

    Raises:
        InvalidInput: naming the field.
    """
    if unknown:
        raise InvalidInput(f"unknown store: {', '.join(unknown)}", field="stores", remedy="add the store first")
