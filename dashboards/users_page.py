"""Users for administrators: who signs in, with which role and for which stores.

A new password is never typed here: the page hands out a temporary one, shown once in the answer to the form and at no
address, so that no history or log ever holds it.
"""

from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.account_page import moments
from dashboards.admin.frame import tabs
from dashboards.i18n import N_
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.access.models import CHAIN_ROLES, LOCALES, USER_ROLES, Locale, User, UserRole
from server.access.service import AccessService
from server.errors import Conflict, Forbidden, InvalidInput

router = page_router()

ROLE_NAMES: Final = {
    "admin": N_("Administrator"),
    "hq": N_("Head office"),
    "region": N_("Region"),
    "manager": N_("Store manager"),
    "desk": N_("Member desk"),
}
_PROBLEMS: Final = {
    "username": N_("Use small letters, digits, dots and hyphens, beginning with a letter or digit."),
    "role": N_("Choose a role."),
    "stores": N_("This role works for stores: choose one or more."),
    "locale": N_("Choose a language."),
}
_TAKEN: Final = N_("There is a user of this name already.")
_LAST: Final = N_("This can't be done: it is the last administrator, or comes from the identity provider.")
_NOTES: Final = {
    "changed": N_("The change is in force. Whoever's rights changed has to sign in again."),
    "disabled": N_("This user can't sign in any more."),
    "enabled": N_("This user can sign in again."),
    "ended": N_("This user was signed out everywhere."),
    "codes": N_("The one-time codes were taken away. The user sets others up at the next sign-in."),
}

Reader = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]


@router.get("/admin/users")
def users(request: Request, viewer: Reader) -> Response:
    """Everybody who can sign in, or could."""
    moment = moments(request, viewer)
    return _render(
        request,
        viewer,
        "users.html",
        users=[
            {
                "user": user,
                "href": _href(user.username),
                "role": ROLE_NAMES[user.role],
                "since": moment(user.created_at) if user.created_at else "",
            }
            for user in _access(request).users(viewer.scope)
        ],
    )


@router.get("/admin/users/new")
def new_user(request: Request, viewer: Reader) -> Response:
    """The form for a new one."""
    return _form(request, viewer, None, {"role": "manager", "locale": "zh", "stores": []})


@router.post("/admin/users/new")
def create(
    request: Request,
    viewer: Poster,
    username: Annotated[str, Form(max_length=200)] = "",
    display_name: Annotated[str, Form(max_length=200)] = "",
    role: Annotated[str, Form(max_length=20)] = "",
    locale: Annotated[str, Form(max_length=10)] = "zh",
    store: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Add a person and hand out a temporary password."""
    chosen = [] if role in CHAIN_ROLES else store or []
    typed = {"username": username, "display_name": display_name, "role": role, "locale": locale, "stores": chosen}
    try:
        user, password = _access(request).invite_user(
            viewer.scope, username, display_name, cast("UserRole", role), chosen, cast("Locale", locale)
        )
    except InvalidInput as error:
        return _form(request, viewer, None, typed, {error.field or "username": _problem(error)}, status=422)
    except Conflict:
        return _form(request, viewer, None, typed, {"username": _TAKEN}, status=409)
    return _render(request, viewer, "user_password.html", user=user, password=password, href=_href(user.username))


@router.get("/admin/users/{username}")
def one_user(request: Request, viewer: Reader, username: str, note: str = "") -> Response:
    """One person, to be changed."""
    user = _access(request).user(viewer.scope, username)
    return _form(request, viewer, user, _values(user), note=_NOTES.get(note, ""))


@router.post("/admin/users/{username}")
def change(
    request: Request,
    viewer: Poster,
    username: str,
    display_name: Annotated[str, Form(max_length=200)] = "",
    role: Annotated[str, Form(max_length=20)] = "",
    locale: Annotated[str, Form(max_length=10)] = "zh",
    store: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Give a person another name, role, language or other stores."""
    access = _access(request)
    user = access.user(viewer.scope, username)
    chosen = [] if role in CHAIN_ROLES else store or []
    typed = {"username": username, "display_name": display_name, "role": role, "locale": locale, "stores": chosen}
    if user.is_external:
        role, chosen = user.role, user.stores
    try:
        access.change_user(
            viewer.scope,
            username,
            display_name=display_name,
            role=cast("UserRole", role),
            stores=chosen,
            locale=cast("Locale", locale),
        )
    except InvalidInput as error:
        return _form(request, viewer, user, typed, {error.field or "role": _problem(error)}, status=422)
    except Forbidden:
        return _form(request, viewer, user, typed, {"role": _LAST}, status=403)
    return _back(username, "changed")


@router.post("/admin/users/{username}/password")
def reset_password(request: Request, viewer: Poster, username: str) -> Response:
    """Hand out a temporary password."""
    access = _access(request)
    password = access.reset_password(viewer.scope, username)
    user = access.user(viewer.scope, username)
    return _render(request, viewer, "user_password.html", user=user, password=password, href=_href(username))


@router.post("/admin/users/{username}/disable")
def disable(request: Request, viewer: Poster, username: str) -> Response:
    """Bar a person from signing in."""
    access = _access(request)
    try:
        access.disable_user(viewer.scope, username)
    except Forbidden:
        user = access.user(viewer.scope, username)
        return _form(request, viewer, user, _values(user), {"role": _LAST}, status=403)
    return _back(username, "disabled")


@router.post("/admin/users/{username}/enable")
def enable(request: Request, viewer: Poster, username: str) -> Response:
    """Let a person in again."""
    _access(request).enable_user(viewer.scope, username)
    return _back(username, "enabled")


@router.post("/admin/users/{username}/sessions")
def end_sessions(request: Request, viewer: Poster, username: str) -> Response:
    """Sign a person out everywhere."""
    _access(request).end_sessions(viewer.scope, username)
    return _back(username, "ended")


@router.post("/admin/users/{username}/codes")
def reset_codes(request: Request, viewer: Poster, username: str) -> Response:
    """Take away the one-time codes of who lost the telephone."""
    _access(request).reset_totp(viewer.scope, username)
    return _back(username, "codes")


def _access(request: Request) -> AccessService:
    access: AccessService = request.app.state.services.access
    return access


def _href(username: str) -> str:
    return f"/admin/users/{quote(username, safe='')}"


def _back(username: str, note: str) -> Response:
    return RedirectResponse(f"{_href(username)}?note={note}", status_code=303)


def _values(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "display_name": user.display_name,
        "role": user.role,
        "locale": user.locale,
        "stores": user.stores,
    }


def _problem(error: InvalidInput) -> str:
    return _PROBLEMS.get(error.field or "", _PROBLEMS["username"])


def _form(
    request: Request,
    viewer: Viewer,
    user: User | None,
    values: dict[str, Any],
    problems: dict[str, str] | None = None,
    *,
    note: str = "",
    status: int = 200,
) -> Response:
    moment = moments(request, viewer)
    sessions = _access(request).sessions(viewer.scope, user.username) if user else []
    return _render(
        request,
        viewer,
        "user.html",
        status=status,
        address=_href(user.username) if user else "/admin/users/new",
        user=user,
        values={"username": "", "display_name": "", **values},
        problems=problems or {},
        note=note,
        roles=[(role, ROLE_NAMES[role]) for role in USER_ROLES],
        locales=LOCALES,
        all_stores=request.app.state.services.stores.stores(viewer.scope),
        sessions=len(sessions),
        last_seen=moment(sessions[0].last_seen_at) if sessions else "",
    )


def _render(
    request: Request, viewer: Viewer, template: str, *, status: int = 200, address: str = "/admin/users", **values: Any
) -> Response:
    return renderer_of(request).page(
        request, template, viewer, status=status, address=address, tabs=tabs(viewer, "/admin/users"), **values
    )
