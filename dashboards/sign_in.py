"""Signing in and out, choosing a language, and the way to each role's first page.

Signing in takes as many steps as the user has to take: a one-time code, its set-up, another password. Each step is a
page of its own at an address of its own, so that reloading or going back never sends a password twice.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

import segno
from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.i18n import LANGUAGES, LOCALE_COOKIE, N_, choose
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, current_viewer, home_of, local_path, maybe_viewer, posting
from server.access.api import COOKIE, address_of, agent_of, check_csrf, clear_session_cookie, set_session_cookie
from server.access.models import SignedIn, Stage
from server.access.passwords import SHORTEST
from server.access.service import AccessService
from server.errors import Conflict, Forbidden, InvalidInput, NotSignedIn, TooManyRequests, Unavailable
from server.settings import Settings

router = page_router()
T = TypeVar("T")

#: What a browser brings back from the identity provider; Lax, because it comes back from another site.
EXTERNAL_COOKIE: Final = "doorline_external"
_EXTERNAL_SECONDS: Final = 600
_YEAR = 365 * 24 * 3600
_WRONG = N_("That user name and password don't go together. Check both and try again.")
_MISSING = N_("Enter your user name and your password.")
_WRONG_CODE = N_("This code is wrong, or was used before. Wait for the next one and try again.")
_WRONG_PASSWORD = N_("Choose a password of your own with ten characters or more, and enter it twice.")
_EXTERNAL_PROBLEMS: Final = {
    NotSignedIn: N_("Signing in there did not work. Try again."),
    Forbidden: N_("You are known there, but have no access here. Ask your administrator."),
    InvalidInput: N_("You are known there, but have no access here. Ask your administrator."),
    Conflict: N_("Somebody else has your user name here. Ask your administrator."),
    Unavailable: N_("The identity provider can't be reached now. Try again in a moment."),
}


@router.get("/")
def home(request: Request, viewer: Annotated[Viewer, Depends(current_viewer)]) -> Response:
    """To the page the viewer's day begins on."""
    return RedirectResponse(_start(request, viewer.session), status_code=303)


@router.get("/sign-in")
def sign_in_form(
    request: Request,
    viewer: Annotated[Viewer | None, Depends(maybe_viewer)],
    next: str = "",  # noqa: A002
) -> Response:
    """The sign-in form; who is signed in already is sent on."""
    if viewer is not None:
        return RedirectResponse(local_path(next) or viewer.home, status_code=303)
    return _form(request, next)


@router.post("/sign-in")
def sign_in(
    request: Request,
    username: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
) -> Response:
    """Open a session and go where the person was going, or to the next step."""
    if not username.strip() or not password:
        return _form(request, next, username=username, error=_MISSING, status=422)
    try:
        session = _access(request).sign_in(
            username, password, address_of(request), request.cookies.get(COOKIE), agent_of(request)
        )
    except NotSignedIn:
        return _form(request, next, username=username, error=_WRONG, status=401)
    except TooManyRequests as wait:
        return _form(request, next, username=username, wait=wait.retry_after, status=429)
    return _gone_on(request, session, next)


@router.get("/sign-in/code")
@router.get("/sign-in/enrol")
@router.get("/sign-in/password")
def step(request: Request, next: str = "") -> Response:  # noqa: A002
    """The step a session asks for; whoever is at another one is sent there."""
    session = _pending(request)
    if session is None or not request.url.path.endswith(session.stage):
        return _to_step(session, next)
    return _step(request, session, next)


@router.post("/sign-in/code")
def give_code(
    request: Request,
    code: Annotated[str, Form(max_length=60)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Take the one-time code."""
    access = _access(request)
    fresh = _taken(
        request,
        "code",
        next,
        csrf_token,
        lambda session: access.give_code(session, code, address_of(request), agent_of(request)),
        wrong=_WRONG_CODE,
    )
    return fresh if isinstance(fresh, Response) else _gone_on(request, fresh, next)


@router.post("/sign-in/enrol")
def enrol(
    request: Request,
    code: Annotated[str, Form(max_length=60)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Put one-time codes to use and show the recovery codes, this once."""
    access = _access(request)
    confirmed = _taken(
        request,
        "enrol",
        next,
        csrf_token,
        lambda session: access.confirm_totp(session, code, address_of(request), agent_of(request)),
        wrong=_WRONG_CODE,
    )
    if isinstance(confirmed, Response):
        return confirmed
    answer = renderer_of(request).page(
        request,
        "recovery_codes.html",
        None,
        address="/",
        codes=confirmed.recovery_codes,
        on=local_path(next) or _start(request, confirmed.session),
    )
    set_session_cookie(answer, confirmed.session, request.app.state.services.settings)
    return answer


@router.post("/sign-in/password")
def replace_password(
    request: Request,
    new: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Replace a temporary password."""
    access = _access(request)

    def take(session: SignedIn) -> SignedIn:
        if new != again:
            raise InvalidInput("the two are not alike", field="again", remedy="type it twice")
        return access.replace_temporary(session, new, address_of(request), agent_of(request))

    fresh = _taken(request, "password", next, csrf_token, take, wrong=_WRONG_PASSWORD)
    return fresh if isinstance(fresh, Response) else _gone_on(request, fresh, next)


@router.get("/sign-in/external")
def leave(request: Request, next: str = "") -> Response:  # noqa: A002
    """To the identity provider."""
    try:
        departure = _access(request).begin_external(local_path(next) or "")
    except Unavailable:
        return _form(request, next, error=_EXTERNAL_PROBLEMS[Unavailable], status=503)
    answer = RedirectResponse(departure.address, status_code=303)
    answer.set_cookie(
        EXTERNAL_COOKIE,
        departure.browser,
        max_age=_EXTERNAL_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.app.state.services.settings.cookie_secure,
        path="/sign-in/external",
    )
    return answer


@router.get("/sign-in/external/back")
def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """From the identity provider."""
    try:
        session, way = _access(request).finish_external(
            state,
            request.cookies.get(EXTERNAL_COOKIE, ""),
            code,
            address_of(request),
            agent_of(request),
            request.cookies.get(COOKIE),
        )
    except (NotSignedIn, Forbidden, InvalidInput, Conflict, Unavailable) as error:
        return _form(request, "", error=_EXTERNAL_PROBLEMS[type(error)], status=error.status)
    answer = _gone_on(request, session, way)
    answer.delete_cookie(EXTERNAL_COOKIE, path="/sign-in/external")
    return answer


@router.post("/sign-out")
def sign_out(request: Request, viewer: Annotated[Viewer, Depends(posting())]) -> Response:
    """End the session."""
    services = request.app.state.services
    services.access.sign_out(viewer.session.token)
    answer = RedirectResponse("/sign-in", status_code=303)
    clear_session_cookie(answer, services.settings)
    # The sign-in page stays in the language this person read.
    remember(answer, viewer.locale, services.settings)
    return answer


@router.post("/language")
def language(
    request: Request,
    viewer: Annotated[Viewer | None, Depends(maybe_viewer)],
    locale: Annotated[str, Form(max_length=10)],
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Change the language: of the user when signed in, else of this browser."""
    if locale not in LANGUAGES:
        raise InvalidInput(f"there is no language {locale!r}", field="locale")
    services = request.app.state.services
    if viewer is not None:
        check_csrf(viewer.session, csrf_token)
        services.access.set_locale(viewer.scope, locale)
    answer = RedirectResponse(local_path(next) or "/", status_code=303)
    remember(answer, locale, services.settings)
    return answer


def remember(answer: Response, locale: str, settings: Settings) -> None:
    """Keep a language in this browser."""
    answer.set_cookie(
        LOCALE_COOKIE, locale, max_age=_YEAR, httponly=True, samesite="lax", secure=settings.cookie_secure
    )


def picture_of(address: str) -> str:
    """An address as a QR code that a page may show: dark on light whatever the page's colours, as cameras want it."""
    return str(segno.make(address, error="m").svg_data_uri(scale=5, border=3, dark="#18211f", light="#ffffff"))


def _access(request: Request) -> AccessService:
    access: AccessService = request.app.state.services.access
    return access


def _pending(request: Request) -> SignedIn | None:
    token = request.cookies.get(COOKIE)
    return _access(request).pending(token) if token else None


def _to_step(session: SignedIn | None, way: str) -> Response:
    """To the step a session asks for; without one, to the start."""
    place = f"/sign-in/{session.stage}" if session is not None else "/sign-in"
    path = local_path(way)
    return RedirectResponse(f"{place}?next={quote(path, safe='/')}" if path else place, status_code=303)


def _taken(
    request: Request, stage: Stage, way: str, csrf: str, take: Callable[[SignedIn], T], *, wrong: str
) -> T | Response:
    """What came of a step's form, or the page that asks for it again; whoever is at another step is sent there."""
    session = _pending(request)
    if session is None or session.stage != stage:
        return _to_step(session, way)
    check_csrf(session, csrf)
    try:
        return take(session)
    except InvalidInput:
        return _step(request, session, way, error=wrong, status=422)
    except TooManyRequests as wait:
        return _step(request, session, way, wait=wait.retry_after, status=429)


def _start(request: Request, session: SignedIn) -> str:
    """Where a day begins: for an administrator with the first hour, until it is done or put away."""
    if session.user.role == "admin" and request.app.state.services.setup.first_hour(session.scope).is_shown:
        return "/setup"
    return home_of(session)


def _gone_on(request: Request, session: SignedIn, way: str) -> Response:
    settings = request.app.state.services.settings
    if session.stage == "open":
        answer: Response = RedirectResponse(local_path(way) or _start(request, session), status_code=303)
    else:
        answer = _to_step(session, way)
        remember(answer, session.user.locale, settings)
    set_session_cookie(answer, session, settings)
    return answer


def _form(
    request: Request, way: str, *, username: str = "", error: str = "", wait: int = 0, status: int = 200
) -> Response:
    return renderer_of(request).page(
        request,
        "sign_in.html",
        None,
        status=status,
        # The form also answers where others lead to it, and those addresses hold secrets.
        address=f"/sign-in?next={quote(local_path(way) or '', safe='/')}" if local_path(way) else "/sign-in",
        next=local_path(way) or "",
        username=username,
        error=error,
        wait=wait,
        external=_access(request).external_name,
        locale_now=choose(request),
    )


def _step(
    request: Request, session: SignedIn, way: str, *, error: str = "", wait: int = 0, status: int = 200
) -> Response:
    offer = None
    if session.stage == "enrol":
        try:
            offer = _access(request).offer_totp(session)
        except Conflict:
            # Set up meanwhile, in another window.
            return _to_step(None, way)
    return renderer_of(request).page(
        request,
        "sign_in_step.html",
        None,
        status=status,
        address=f"/sign-in/{session.stage}",
        session=session,
        stage=session.stage,
        next=local_path(way) or "",
        error=error,
        wait=wait,
        shortest=SHORTEST,
        offer=offer,
        picture=picture_of(offer.address) if offer else "",
    )
