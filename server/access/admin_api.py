"""Routes for administrators: users and their sessions, API keys, the audit trail."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field

from server.access.api import Admin
from server.access.audit_repository import Wanted
from server.access.models import ApiKey, AuditEntry, KeyRole, Locale, SessionInfo, User, UserRole
from server.access.service import AccessService
from server.access.trail import Head, Verdict
from server.inputs import Input

router = APIRouter(prefix="/api/v1", tags=["access"])


class _State(Protocol):
    access: AccessService


def _access(request: Request) -> AccessService:
    return cast("_State", request.app.state.services).access


class UserInput(Input):
    """A person who is to sign in."""

    username: str = Field(max_length=64)
    display_name: str = Field(default="", max_length=200)
    role: UserRole
    stores: list[str] = Field(default_factory=list, max_length=1000)
    locale: Locale = "zh"


class UserChange(Input):
    """What is to be another; what is left out stays."""

    display_name: str | None = Field(default=None, max_length=200)
    role: UserRole | None = None
    stores: list[str] | None = Field(default=None, max_length=1000)
    locale: Locale | None = None


class KeyInput(Input):
    """A key to be made for a till or a BI tool."""

    name: str = Field(max_length=100, description="Which till or tool will use it.")
    role: KeyRole
    stores: list[str] = Field(default_factory=list, max_length=1000)
    expires_at: datetime | None = None
    rights: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="What it may do, such as `kpi:read` or `receipts:write`: the first part of the address, and whether"
        " the method changes anything. None: whatever its role may.",
    )


class RotateInput(Input):
    """For how long the old key is still taken."""

    overlap_hours: int = Field(default=24, ge=0, le=720)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; it can't be had again."""

    key: str


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person, and the temporary password with which they sign in first; it can't be had again."""

    user: User
    temporary_password: str


@dataclass(frozen=True, slots=True)
class TemporaryPassword:
    """Opens nothing but the form that replaces it, for three days; it can't be had again."""

    temporary_password: str


@router.get("/users", summary="Users")
def list_users(request: Request, scope: Admin) -> list[User]:
    """Everybody who can sign in, or could."""
    return _access(request).users(scope)


@router.post("/users", status_code=201, summary="Add a user")
def create_user(body: UserInput, request: Request, scope: Admin) -> NewUser:
    """Add a person. The temporary password in the answer has to be replaced at the first sign-in, within three days."""
    user, password = _access(request).invite_user(
        scope, body.username, body.display_name, body.role, body.stores, body.locale
    )
    return NewUser(user, password)


@router.get("/users/{username}", summary="One user")
def one_user(username: str, request: Request, scope: Admin) -> User:
    """One person who can sign in, or could."""
    return _access(request).user(scope, username)


@router.patch("/users/{username}", summary="Change a user")
def change_user(username: str, body: UserChange, request: Request, scope: Admin) -> User:
    """Another name, role, language or other stores. Other rights end every session of the user."""
    return _access(request).change_user(
        scope,
        username,
        display_name=body.display_name,
        role=body.role,
        stores=body.stores,
        locale=body.locale,
    )


@router.post("/users/{username}/disable", status_code=204, summary="Bar a user")
def disable_user(username: str, request: Request, scope: Admin) -> None:
    """No sign-in any more, and every session ends."""
    _access(request).disable_user(scope, username)


@router.post("/users/{username}/enable", status_code=204, summary="Let a user in again")
def enable_user(username: str, request: Request, scope: Admin) -> None:
    """Sign-in is possible again."""
    _access(request).enable_user(scope, username)


@router.post("/users/{username}/password", summary="Reset a password")
def reset_password(username: str, request: Request, scope: Admin) -> TemporaryPassword:
    """A temporary password for who forgot theirs. Every session of the user ends."""
    return TemporaryPassword(_access(request).reset_password(scope, username))


@router.delete("/users/{username}/totp", status_code=204, summary="Reset one-time codes")
def reset_totp(username: str, request: Request, scope: Admin) -> None:
    """For who lost the telephone: no code is asked for until others are set up. Every session of the user ends."""
    _access(request).reset_totp(scope, username)


@router.get("/users/{username}/sessions", summary="A user's sessions")
def sessions_of(username: str, request: Request, scope: Admin) -> list[SessionInfo]:
    """Live sessions of a user, the one used last first."""
    return _access(request).sessions(scope, username)


@router.delete("/users/{username}/sessions", status_code=204, summary="End a user's sessions")
def end_sessions_of(username: str, request: Request, scope: Admin) -> None:
    """End every session of a user."""
    _access(request).end_sessions(scope, username)


@router.delete("/users/{username}/sessions/{session_id}", status_code=204, summary="End a user's session")
def end_session_of(username: str, session_id: str, request: Request, scope: Admin) -> None:
    """End one session of a user, by its id from the list."""
    _access(request).end_session(scope, session_id, username)


@router.post("/keys", status_code=201, summary="Make an API key")
def create_key(body: KeyInput, request: Request, scope: Admin) -> NewKey:
    """Make a key for a till or a BI tool. It is in this answer and nowhere else."""
    made = _access(request).create_api_key(scope, body.name, body.role, body.stores, body.expires_at, body.rights)
    return NewKey(made)


@router.get("/keys", summary="API keys")
def list_keys(request: Request, scope: Admin) -> list[ApiKey]:
    """All keys without their secrets, with when each was last used."""
    return _access(request).api_keys(scope)


@router.post("/keys/{key_id}/rotate", status_code=201, summary="Replace an API key")
def rotate_key(key_id: str, body: RotateInput, request: Request, scope: Admin) -> NewKey:
    """Another key for the same; the old one is taken for a while yet, so that no till stands still."""
    return NewKey(_access(request).rotate_api_key(scope, key_id, timedelta(hours=body.overlap_hours)))


@router.delete("/keys/{key_id}", status_code=204, summary="End an API key")
def revoke_key(key_id: str, request: Request, scope: Admin) -> None:
    """End a key at once."""
    _access(request).revoke_api_key(scope, key_id)


@router.get("/audit-trail", summary="The audit trail")
def audit_trail(
    request: Request,
    scope: Admin,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    before: Annotated[
        int | None, Query(ge=1, le=2**62, description="Only lines before the one of this number.")
    ] = None,
    actor: Annotated[str, Query(max_length=200, description="Who did it.")] = "",
    action: Annotated[str, Query(max_length=100, description="What was done, or its first word, as `member`.")] = "",
    subject: Annotated[str, Query(max_length=200, description="What it was done to.")] = "",
    store: Annotated[str, Query(max_length=32, description="In which store.")] = "",
    since: Annotated[AwareDatetime | None, Query(description="From when on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before when.")] = None,
) -> list[AuditEntry]:
    """Who did what, the newest first; all of it, or what you ask for."""
    return _access(request).trail.newest(scope, limit, before, Wanted(actor, action, subject, store, since, until))


@router.get("/audit-trail/head", summary="The end of the audit trail")
def audit_head(request: Request, scope: Admin) -> Head:
    """Number and hash of the newest line: noted elsewhere, they prove everything before it."""
    return _access(request).trail.head(scope)


@router.get("/audit-trail/verdict", summary="Check the audit trail")
def audit_verdict(request: Request, scope: Admin) -> Verdict:
    """Walk along the whole chain: what was changed, moved, deleted or inserted, and where."""
    return _access(request).trail.verify(scope)
