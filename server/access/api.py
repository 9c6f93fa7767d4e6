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

from server.access.models import Locale, Role, Scope, SessionInfo, SignedIn, Stage
from server.access.second import TotpOffer
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
        scope = access.api_key(key.strip())
        _, _, area = request.url.path.partition("/api/v1/")
        scope.require_right(area.partition("/")[0], is_write=request.method not in _SAFE)
        return Caller(scope, None)
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


def step_session(request: Request) -> SignedIn:
    """A session by its cookie, whatever it still asks for, with its CSRF token in the header.

    Raises:
        NotSignedIn: when there is none.
        Forbidden: without the token.
    """
    access = _state(request).access
    token = request.cookies.get(COOKIE)
    session = (access.session(token) or access.pending(token)) if token else None
    if session is None:
        raise NotSignedIn("you are not signed in, or the session has ended", remedy="sign in")
    if request.method not in _SAFE:
        check_csrf(session, request.headers.get(CSRF_HEADER))
    return session


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


Step = Annotated[SignedIn, Depends(step_session)]


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


def agent_of(request: Request) -> str:
    """What the caller's browser calls itself, for the list of sessions."""
    return request.headers.get("User-Agent", "")


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


class CodeInput(Input):
    """A one-time code, or a recovery code."""

    code: str = Field(max_length=40)


class ConfirmInput(CodeInput):
    """A first one-time code; with the password, where one is signed in already."""

    password: str = Field(default="", max_length=1000)


class NewPasswordInput(Input):
    """The password to be."""

    new: str = Field(max_length=1000)


@dataclass(frozen=True, slots=True)
class Me:
    """Who is asking. `stores` is null for whoever sees the whole chain; `csrf_token` only for browser sessions.

    `stage` says what the session asks for before it opens anything: `open` for nothing, `code` for a one-time code,
    `enrol` for one-time codes to be set up, `password` for another password.
    """

    user_id: str
    name: str
    display_name: str
    role: Role
    stores: list[str] | None
    locale: Locale
    csrf_token: str | None
    expires_at: datetime | None
    stage: Stage = "open"


@dataclass(frozen=True, slots=True)
class TotpState:
    """Whether one-time codes are in use and have to be, and how many recovery codes are left."""

    is_on: bool
    is_required: bool
    recovery_codes_left: int


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """Each opens one sign-in in place of a one-time code; they can't be had again."""

    codes: list[str]


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
        stage=session.stage if session else "open",
    )


@router.post("/session", status_code=201, summary="Sign in")
def sign_in(body: SignInInput, request: Request, response: Response) -> Me:
    """Open a session: the cookie is set, and the CSRF token for unsafe requests is in the answer.

    Where `stage` is not `open`, the session opens nothing yet: go on as it says.
    """
    state = _state(request)
    session = state.access.sign_in(
        body.username, body.password, address_of(request), request.cookies.get(COOKIE), agent_of(request)
    )
    return _gone_on(request, response, session)


@router.post("/session/code", status_code=201, summary="Sign in: the one-time code")
def give_code(body: CodeInput, session: Step, request: Request, response: Response) -> Me:
    """Go on from the stage `code`. A recovery code will do, once. The session gets another cookie and CSRF token."""
    fresh = _state(request).access.give_code(session, body.code, address_of(request), agent_of(request))
    return _gone_on(request, response, fresh)


@router.post("/session/password", status_code=201, summary="Sign in: another password")
def replace_temporary(body: NewPasswordInput, session: Step, request: Request, response: Response) -> Me:
    """Go on from the stage `password`: the temporary password is replaced."""
    fresh = _state(request).access.replace_temporary(session, body.new, address_of(request), agent_of(request))
    return _gone_on(request, response, fresh)


def _gone_on(request: Request, response: Response, session: SignedIn) -> Me:
    set_session_cookie(response, session, _state(request).settings)
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


@router.get("/me/sessions", summary="One's own sessions")
def own_sessions(caller: Annotated[Caller, Depends(guarded_caller)], request: Request) -> list[SessionInfo]:
    """Live sessions of whoever asks, the one used last first."""
    current = caller.session.session_id if caller.session else ""
    return _state(request).access.sessions(caller.scope, current=current)


@router.delete("/me/sessions", status_code=204, summary="End one's other sessions")
def end_other_sessions(caller: Annotated[Caller, Depends(guarded_caller)], request: Request) -> None:
    """End every session of whoever asks but this one."""
    _state(request).access.end_sessions(caller.scope, but=caller.session.session_id if caller.session else None)


@router.delete("/me/sessions/{session_id}", status_code=204, summary="End one of one's sessions")
def end_own_session(session_id: str, scope: CurrentScope, request: Request) -> None:
    """End a session of whoever asks, by its id from the list."""
    _state(request).access.end_session(scope, session_id)


@router.get("/me/totp", summary="One-time codes: in use?")
def totp_state(session: Step, request: Request) -> TotpState:
    """Whether one signs in with a one-time code as well."""
    access = _state(request).access
    user = session.user
    return TotpState(user.has_totp, access.needs_totp(user), access.recovery_codes_left(session))


@router.post("/me/totp/offer", summary="One-time codes: a secret")
def offer_totp(session: Step, request: Request) -> TotpOffer:
    """A secret for an authenticator app; nothing asks for codes of it before one was confirmed."""
    _refuse_unproven(session)
    return _state(request).access.offer_totp(session)


@router.post("/me/totp/confirm", summary="One-time codes: put to use")
def confirm_totp(body: ConfirmInput, session: Step, request: Request, response: Response) -> RecoveryCodes:
    """From now on a code is asked for at every sign-in. The answer's cookie is a new session; all others have ended.

    Whoever is signed in already gives their password as well.
    """
    _refuse_unproven(session)
    state = _state(request)
    confirmed = state.access.confirm_totp(
        session, body.code, address_of(request), agent_of(request), password=body.password
    )
    set_session_cookie(response, confirmed.session, state.settings)
    return RecoveryCodes(confirmed.recovery_codes)


@router.post("/me/totp/recovery-codes", summary="One-time codes: other recovery codes")
def renew_recovery_codes(body: CodeInput, session: Step, request: Request) -> RecoveryCodes:
    """Other recovery codes in place of those before."""
    _refuse_unproven(session)
    return RecoveryCodes(_state(request).access.renew_recovery_codes(session, body.code, address_of(request)))


@router.post("/me/totp/off", status_code=204, summary="One-time codes: no more")
def turn_off_totp(body: CodeInput, session: Step, request: Request) -> None:
    """Sign in without one-time codes from now on, where the role allows it."""
    _refuse_unproven(session)
    _state(request).access.turn_off_totp(session, body.code, address_of(request))


def _refuse_unproven(session: SignedIn) -> None:
    """Whoever has not given the code yet, or has a temporary password, must not set up codes of their own."""
    if session.stage not in {"open", "enrol"}:
        raise NotSignedIn("this session is not open yet", remedy=f"go on at /api/v1/session/{session.stage}")
