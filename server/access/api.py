"""Sign-in routes, and the dependencies by which every other route learns who is asking.

A browser proves itself with a cookie, which it sends without being asked; so every unsafe method that came with a
cookie must also bring the session's CSRF token. A key in the Authorization header is sent by intent only and needs
none.
"""

import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Protocol, cast

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from server.access.models import ApiKey, KeyRole, Locale, Role, Scope, SignedIn
from server.access.service import AccessService
from server.errors import Forbidden, NotSignedIn
from server.inputs import Input
from server.settings import Settings

COOKIE: Final = "doorline_session"
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

router = APIRouter(prefix="/api/v1", tags=["access"])


class _State(Protocol):
    access: AccessService
    settings: Settings


def _state(request: Request) -> _State:
    return cast("_State", request.app.state.services)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and the session if they came with one."""

    scope: Scope
    session: SignedIn | None


def current_caller(request: Request) -> Caller:
    """Who is asking, by key or cookie; CSRF is not looked at yet.

    Raises:
        NotSignedIn: when neither is there, or what is there has ended.
    """
    access = _state(request).access
    header = request.headers.get("Authorization")
    if header is not None:
        kind, _, key = header.partition(" ")
        if kind.lower() != "bearer":
            raise NotSignedIn("only Bearer keys are understood", remedy="send 'Authorization: Bearer <key>'")
        return Caller(access.api_key(key.strip()), None)
    token = request.cookies.get(COOKIE)
    session = access.session(token) if token else None
    if session is None:
        raise NotSignedIn(
            "you are not signed in, or the session has ended",
            remedy="sign in, or send a key as 'Authorization: Bearer <key>'",
        )
    return Caller(session.scope, session)


def check_csrf(session: SignedIn, supplied: str | None) -> None:
    """Refuse an unsafe request that can't show its session's CSRF token.

    Raises:
        Forbidden: when it is missing or wrong.
    """
    if not supplied or not hmac.compare_digest(supplied.encode(), session.csrf.encode()):
        raise Forbidden(
            "the CSRF token is missing or wrong",
            field=CSRF_FIELD,
            remedy=f"send the session's token in the header {CSRF_HEADER} or the form field {CSRF_FIELD}; "
            "reload the page if it is old",
        )


async def guarded_caller(request: Request, caller: Annotated[Caller, Depends(current_caller)]) -> AsyncIterator[Caller]:
    """Who is asking, with the CSRF token of cookie-authenticated unsafe methods checked.

    A form read on the way, here or by a dependency further on, is closed with the request: its files lie on disk.
    """
    try:
        if caller.session is not None and request.method not in _SAFE:
            supplied = request.headers.get(CSRF_HEADER)
            if supplied is None and request.headers.get("content-type", "").startswith(_FORMS):
                field = (await request.form()).get(CSRF_FIELD)
                supplied = field if isinstance(field, str) else None
            check_csrf(caller.session, supplied)
        yield caller
    finally:
        await request.close()


async def current_scope(caller: Annotated[Caller, Depends(guarded_caller)]) -> Scope:
    """The scope of the request: the argument of everything below."""
    return caller.scope


CurrentScope = Annotated[Scope, Depends(current_scope)]


def require_role(*roles: Role) -> Callable[[Scope], Scope]:
    """A dependency that answers with the scope when it has one of `roles`, and refuses otherwise.

    Use as ``scope: Annotated[Scope, Depends(require_role("admin", "hq"))]``.
    """

    def scoped(scope: CurrentScope) -> Scope:
        scope.require_role(*roles)
        return scope

    return scoped


Admin = Annotated[Scope, Depends(require_role("admin"))]


def set_session_cookie(response: Response, session: SignedIn, settings: Settings) -> None:
    """Hand a session to the browser."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=settings.session_hours * 3600,
        httponly=True,
        samesite="lax",
        secure=settings.cookie_secure,
        path="/",
    )


def clear_session_cookie(response: Response, settings: Settings) -> None:
    """Take the session from the browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=settings.cookie_secure)


def address_of(request: Request) -> str:
    """The caller's address, for the lock-out."""
    return request.client.host if request.client else ""


class SignInInput(Input):
    """A user name and a password."""

    username: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class PasswordInput(Input):
    """The password now and the one to be."""

    current: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


class LocaleInput(Input):
    """The language to show things in."""

    locale: Locale


class KeyInput(Input):
    """A key to be made for a till or a BI tool."""

    name: str = Field(max_length=100, description="Which till or tool will use it.")
    role: KeyRole
    stores: list[str] = Field(default_factory=list, max_length=1000)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; it can't be had again."""

    key: str


@dataclass(frozen=True, slots=True)
class Me:
    """Who is asking. `stores` is null for whoever sees the whole chain; `csrf_token` only for browser sessions."""

    user_id: str
    name: str
    display_name: str
    role: Role
    stores: list[str] | None
    locale: Locale
    csrf_token: str | None
    expires_at: datetime | None


def _me(caller: Caller) -> Me:
    scope, session = caller.scope, caller.session
    return Me(
        user_id=scope.user_id,
        name=scope.actor,
        display_name=session.user.display_name if session else scope.actor,
        role=scope.role,
        stores=scope.store_ids,
        locale=scope.locale,
        csrf_token=session.csrf if session else None,
        expires_at=session.expires_at if session else None,
    )


@router.post("/session", status_code=201, summary="Sign in")
def sign_in(body: SignInInput, request: Request, response: Response) -> Me:
    """Open a session: the cookie is set, and the CSRF token for unsafe requests is in the answer."""
    state = _state(request)
    session = state.access.sign_in(
        body.username, body.password, address_of(request), previous_token=request.cookies.get(COOKIE)
    )
    set_session_cookie(response, session, state.settings)
    return _me(Caller(session.scope, session))


@router.delete("/session", status_code=204, summary="Sign out")
def sign_out(caller: Annotated[Caller, Depends(guarded_caller)], request: Request, response: Response) -> None:
    """End the session and take the cookie back. A key is not a session and stays."""
    state = _state(request)
    if caller.session is not None:
        state.access.sign_out(caller.session.token)
    clear_session_cookie(response, state.settings)


@router.get("/me", summary="Who am I")
def me(caller: Annotated[Caller, Depends(guarded_caller)]) -> Me:
    """Role, stores and language of the session or key."""
    return _me(caller)


@router.put("/me/locale", status_code=204, summary="Change the language")
def change_locale(body: LocaleInput, scope: CurrentScope, request: Request) -> None:
    """Show things in another language from now on."""
    _state(request).access.set_locale(scope, body.locale)


@router.put("/me/password", status_code=204, summary="Change the password")
def change_password(body: PasswordInput, scope: CurrentScope, request: Request, response: Response) -> None:
    """Change one's own password. Every session of the user ends, this one too: sign in again."""
    state = _state(request)
    state.access.change_password(scope, body.current, body.new, address_of(request))
    clear_session_cookie(response, state.settings)


@router.post("/keys", status_code=201, summary="Make an API key")
def create_key(body: KeyInput, request: Request, scope: Admin) -> NewKey:
    """Make a key for a till or a BI tool. It is in this answer and nowhere else."""
    access = _state(request).access
    return NewKey(access.create_api_key(scope, body.name, body.role, body.stores, body.expires_at))


@router.get("/keys", summary="API keys")
def list_keys(request: Request, scope: Admin) -> list[ApiKey]:
    """All keys without their secrets, with when each was last used."""
    return _state(request).access.api_keys(scope)


@router.delete("/keys/{key_id}", status_code=204, summary="End an API key")
def revoke_key(key_id: str, request: Request, scope: Admin) -> None:
    """End a key at once."""
    _state(request).access.revoke_api_key(scope, key_id)
