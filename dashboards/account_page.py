"""One's own account: the password, one-time codes, and where one is signed in.

Whatever changes here ends sessions, so that somebody who finds a strange one in the list can be rid of it at once. The
page never says more of a session than its address and what the browser calls itself.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.pages import page_router, renderer_of
from dashboards.sign_in import picture_of
from dashboards.viewer import Viewer, current_viewer, posting
from server.access.api import address_of, agent_of, clear_session_cookie, set_session_cookie
from server.access.passwords import SHORTEST
from server.access.service import AccessService
from server.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyRequests

router = page_router()

_WRONG_CODE: Final = N_("This code is wrong, or was used before. Wait for the next one and try again.")
_WRONG_OLD: Final = N_("The current password is wrong.")
_WRONG_NEW: Final = N_("Choose a password of your own with ten characters or more, and enter it twice.")
_NOTES: Final = {
    "ended": N_("The other sessions have ended."),
    "off": N_("No one-time codes are asked for any more."),
}

Reader = Annotated[Viewer, Depends(current_viewer)]
Poster = Annotated[Viewer, Depends(posting())]


@router.get("/account")
def account(request: Request, viewer: Reader, note: str = "") -> Response:
    """The account of whoever is signed in."""
    return _page(request, viewer, note=_NOTES.get(note, ""))


@router.post("/account/password")
def change_password(
    request: Request,
    viewer: Poster,
    current: Annotated[str, Form(max_length=1000)] = "",
    new: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Change the password; every session ends, so the way leads to the sign-in page."""
    if new != again or len(new) < SHORTEST:
        return _page(request, viewer, problems={"new": _WRONG_NEW}, status=422)
    try:
        _access(request).change_password(viewer.scope, current, new, address_of(request))
    except InvalidInput as error:
        problems = {"current": _WRONG_OLD} if error.field == "current" else {"new": _WRONG_NEW}
        return _page(request, viewer, problems=problems, status=422)
    except TooManyRequests as wait:
        return _page(request, viewer, wait=wait.retry_after, status=429)
    answer = RedirectResponse("/sign-in", status_code=303)
    clear_session_cookie(answer, request.app.state.services.settings)
    return answer


@router.post("/account/sessions")
def end_others(request: Request, viewer: Poster) -> Response:
    """End every session but this one."""
    _access(request).end_sessions(viewer.scope, but=viewer.session.session_id)
    return RedirectResponse("/account?note=ended", status_code=303)


@router.post("/account/sessions/{session_id}")
def end_one(request: Request, viewer: Poster, session_id: str) -> Response:
    """End one session; one that has ended meanwhile has ended."""
    try:
        _access(request).end_session(viewer.scope, session_id)
    except NotFound:
        return RedirectResponse("/account", status_code=303)
    return RedirectResponse("/account?note=ended", status_code=303)


@router.get("/account/codes")
def offer(request: Request, viewer: Reader) -> Response:
    """Set up one-time codes."""
    return _offer(request, viewer)


@router.post("/account/codes")
def confirm(
    request: Request,
    viewer: Poster,
    code: Annotated[str, Form(max_length=60)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Put them to use and show the recovery codes, this once."""
    try:
        confirmed = _access(request).confirm_totp(
            viewer.session, code, address_of(request), agent_of(request), password=password
        )
    except InvalidInput as error:
        problems = {"password": _WRONG_OLD} if error.field == "password" else {"code": _WRONG_CODE}
        return _offer(request, viewer, problems=problems, status=422)
    except TooManyRequests as wait:
        return _offer(request, viewer, wait=wait.retry_after, status=429)
    answer = _codes(request, confirmed.recovery_codes)
    set_session_cookie(answer, confirmed.session, request.app.state.services.settings)
    return answer


@router.post("/account/codes/off")
def turn_off(request: Request, viewer: Poster, code: Annotated[str, Form(max_length=60)] = "") -> Response:
    """Ask for no one-time codes any more, where the role allows it."""
    try:
        _access(request).turn_off_totp(viewer.session, code, address_of(request))
    except InvalidInput:
        return _page(request, viewer, problems={"code": _WRONG_CODE}, status=422)
    except TooManyRequests as wait:
        return _page(request, viewer, wait=wait.retry_after, status=429)
    return RedirectResponse("/account?note=off", status_code=303)


@router.post("/account/codes/recovery")
def renew(request: Request, viewer: Poster, code: Annotated[str, Form(max_length=60)] = "") -> Response:
    """Other recovery codes."""
    try:
        return _codes(request, _access(request).renew_recovery_codes(viewer.session, code, address_of(request)))
    except InvalidInput:
        return _page(request, viewer, problems={"code": _WRONG_CODE}, status=422)
    except TooManyRequests as wait:
        return _page(request, viewer, wait=wait.retry_after, status=429)


def _access(request: Request) -> AccessService:
    access: AccessService = request.app.state.services.access
    return access


def _codes(request: Request, codes: list[str]) -> Response:
    return renderer_of(request).page(
        request, "recovery_codes.html", None, address="/account", codes=codes, on="/account"
    )


def _offer(
    request: Request, viewer: Viewer, *, problems: dict[str, str] | None = None, wait: int = 0, status: int = 200
) -> Response:
    try:
        offered = _access(request).offer_totp(viewer.session)
    except (Conflict, Forbidden):
        return RedirectResponse("/account", status_code=303)
    return renderer_of(request).page(
        request,
        "account_codes.html",
        viewer,
        status=status,
        stores=request.app.state.services.stores.stores(viewer.scope),
        address="/account/codes",
        offer=offered,
        picture=picture_of(offered.address),
        problems=problems or {},
        wait=wait,
    )


def _page(
    request: Request,
    viewer: Viewer,
    *,
    note: str = "",
    problems: dict[str, str] | None = None,
    wait: int = 0,
    status: int = 200,
) -> Response:
    access = _access(request)
    moment = moments(request, viewer)
    sessions: list[dict[str, Any]] = [
        {
            "id": each.session_id,
            "agent": _browser(each.agent),
            "address": each.address,
            "since": moment(each.created_at),
            "seen": moment(each.last_seen_at),
            "is_current": each.is_current,
        }
        for each in access.sessions(viewer.scope, current=viewer.session.session_id)
    ]
    user = viewer.session.user
    return renderer_of(request).page(
        request,
        "account.html",
        viewer,
        status=status,
        stores=request.app.state.services.stores.stores(viewer.scope),
        address="/account",
        user=user,
        sessions=sessions,
        note=note,
        problems=problems or {},
        wait=wait,
        shortest=SHORTEST,
        needs_totp=access.needs_totp(user),
        codes_left=access.recovery_codes_left(viewer.session),
    )


def moments(request: Request, viewer: Viewer) -> Callable[[datetime], str]:
    """Writes a moment as day and time of the viewer's first store; in UTC where there is none yet."""
    fmt = Formats(viewer.locale)
    stores = request.app.state.services.stores.stores(viewer.scope)
    zone = stores[0].timezone if stores else "UTC"
    return lambda at: f"{fmt.local_day(at, zone)} {fmt.clock(at, zone)}"


def _browser(agent: str) -> str:
    """What a person calls a browser, from what it calls itself: most claim to be the others, too."""
    for mark, name in (
        ("Edg/", "Edge"),
        ("MicroMessenger", "WeChat"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ):
        if mark in agent:
            return name
    return agent.partition("/")[0][:40]
