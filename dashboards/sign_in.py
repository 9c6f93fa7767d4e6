"""Signing in and out, choosing a language, and the way to each role's first page."""

from typing import Annotated

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.i18n import LANGUAGES, LOCALE_COOKIE, N_, choose
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, current_viewer, home_of, local_path, maybe_viewer, posting
from server.access.api import COOKIE, address_of, check_csrf, clear_session_cookie, set_session_cookie
from server.errors import InvalidInput, NotSignedIn, TooManyRequests
from server.settings import Settings

router = page_router()

_YEAR = 365 * 24 * 3600
_WRONG = N_("That user name and password don't go together. Check both and try again.")
_MISSING = N_("Enter your user name and your password.")


@router.get("/")
def home(viewer: Annotated[Viewer, Depends(current_viewer)]) -> Response:
    """To the page the viewer's day begins on."""
    return RedirectResponse(viewer.home, status_code=303)


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
    """Open a session and go where the person was going."""
    if not username.strip() or not password:
        return _form(request, next, username=username, error=_MISSING, status=422)
    services = request.app.state.services
    try:
        session = services.access.sign_in(
            username, password, address_of(request), previous_token=request.cookies.get(COOKIE)
        )
    except NotSignedIn:
        return _form(request, next, username=username, error=_WRONG, status=401)
    except TooManyRequests as wait:
        return _form(request, next, username=username, wait=wait.retry_after, status=429)
    answer = RedirectResponse(local_path(next) or home_of(session), status_code=303)
    set_session_cookie(answer, session, services.settings)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, viewer: Annotated[Viewer, Depends(posting())]) -> Response:
    """End the session."""
    services = request.app.state.services
    services.access.sign_out(viewer.session.token)
    answer = RedirectResponse("/sign-in", status_code=303)
    clear_session_cookie(answer, services.settings)
    # The sign-in page stays in the language this person read.
    _remember(answer, viewer.locale, services.settings)
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
    _remember(answer, locale, services.settings)
    return answer


def _remember(answer: Response, locale: str, settings: Settings) -> None:
    """Keep a language in this browser."""
    answer.set_cookie(
        LOCALE_COOKIE, locale, max_age=_YEAR, httponly=True, samesite="lax", secure=settings.cookie_secure
    )


def _form(
    request: Request, way: str, *, username: str = "", error: str = "", wait: int = 0, status: int = 200
) -> Response:
    return renderer_of(request).page(
        request,
        "sign_in.html",
        None,
        status=status,
        next=local_path(way) or "",
        username=username,
        error=error,
        wait=wait,
        locale_now=choose(request),
    )
