"""What every page route has in common: its errors are pages too, and its forms come from our own pages.

The API answers errors as JSON; a person who mistypes an address must not meet that. So page routes use a route class of
their own that turns a domain error into a page of the same shape as the rest, in the reader's language.
"""

import http
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders

from dashboards.i18n import N_
from dashboards.render import Renderer
from dashboards.security import put_headers
from dashboards.viewer import SignInNeeded, Viewer, maybe_viewer
from server.errors import DoorlineError, Forbidden, TooManyRequests, Unavailable
from server.stores.models import Store

Handler = Callable[[Request], Awaitable[Response]]
_log = structlog.get_logger(__name__)

#: Status to title and explanation; what is not here reads like 500.
_WORDS: Final = {
    401: (N_("Please sign in again"), N_("Your session has ended.")),
    403: (
        N_("This page is not yours to open"),
        N_("Your account doesn't cover this page or this store. If it should, ask your administrator."),
    ),
    404: (N_("There is nothing here"), N_("The address may be mistyped, or what it showed is gone.")),
    405: (N_("There is nothing here"), N_("The address may be mistyped, or what it showed is gone.")),
    413: (N_("That request can't be understood"), N_("Go back, check what was entered, and try again.")),
    422: (N_("That request can't be understood"), N_("Go back, check what was entered, and try again.")),
    429: (N_("Too many tries"), N_("Wait a moment, then try again.")),
    503: (N_("The database is out of reach"), N_("Nothing is lost. Try again in a few seconds.")),
}
_BROKEN: Final = (N_("Something broke on our side"), N_("It has been written down. Try again in a moment."))


def renderer_of(request: Request) -> Renderer:
    """The application's renderer."""
    renderer: Renderer = request.app.state.renderer
    return renderer


def error_page(request: Request, status: int) -> Response:
    """An error in the shape of a page. It never needs the database to be up, and does not ask one that is not."""
    viewer = None if status == http.HTTPStatus.SERVICE_UNAVAILABLE else _viewer_of(request)
    title, text = _WORDS.get(status, _BROKEN)
    return renderer_of(request).page(
        request,
        "error.html",
        viewer,
        status=status,
        stores=_stores_of(request, viewer),
        code=status,
        title=title,
        text=text,
        home=viewer.home if viewer else "/sign-in",
    )


def _viewer_of(request: Request) -> Viewer | None:
    """Who is looking; no one when that can't be told."""
    try:
        return maybe_viewer(request)
    except DoorlineError:
        return None


def _stores_of(request: Request, viewer: Viewer | None) -> list[Store]:
    """The viewer's stores, for the names in the navigation; none when the database can't tell."""
    if viewer is None:
        return []
    try:
        stores: list[Store] = request.app.state.services.stores.stores(viewer.scope)
    except DoorlineError:
        return []
    return stores


def _refuse_foreign_forms(request: Request) -> None:
    """A form posted from another site is refused before anything reads it; the sign-in form has no session to check."""
    if request.method in {"GET", "HEAD"}:
        return
    origin = request.headers.get("origin")
    if origin not in {None, "null"} and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("this form was sent from another site", remedy="open the page here and send it again")
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("this form was sent from another site", remedy="open the page here and send it again")


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's handler, with errors caught and foreign forms refused."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                _refuse_foreign_forms(request)
                answer: Response = await handle(request)
            except SignInNeeded as needed:
                return RedirectResponse(needed.address, status_code=303)
            except DoorlineError as error:
                _log.info("page refused", path=request.url.path, status=error.status, code=error.code)
                page = await run_in_threadpool(error_page, request, error.status)
                if isinstance(error, TooManyRequests | Unavailable):
                    page.headers["Retry-After"] = str(error.retry_after)
                return page
            except RequestValidationError:
                return await run_in_threadpool(error_page, request, http.HTTPStatus.UNPROCESSABLE_ENTITY)
            return answer

        return handled


def page_router() -> APIRouter:
    """A router for pages: errors are pages, and nothing of it stands in the API's description."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=Response)


def is_api(request: Request) -> bool:
    """Whether a program is asking, who wants errors in the API's shape."""
    path = request.url.path
    return path.startswith(("/api/", "/assets/", "/healthz", "/openapi", "/docs"))


def install_error_pages(app: FastAPI) -> None:
    """Give addresses that no route knows, and failures nobody foresaw, a page; the API keeps its own handlers."""
    for kind, api_handler in list(app.exception_handlers.items()):
        # What page routes turn into pages themselves is left alone: a live stream answers with it as the API does.
        if kind not in {DoorlineError, RequestValidationError, Exception}:
            app.add_exception_handler(kind, _as_page(api_handler))
    api_any = app.exception_handlers.get(Exception)

    async def on_failure(request: Request, error: Exception) -> Response:
        if is_api(request) and api_any is not None:
            return await _call(api_any, request, error)
        answer = await run_in_threadpool(error_page, request, 500)
        # Starlette answers this one outside of all middleware.
        put_headers(MutableHeaders(raw=answer.raw_headers))
        return answer

    app.add_exception_handler(Exception, on_failure)


def _as_page(api_handler: Callable[..., Any]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler that answers programs as the API does, and people with a page of the same status."""

    async def on_error(request: Request, error: Exception) -> Response:
        answer = await _call(api_handler, request, error)
        return answer if is_api(request) else await run_in_threadpool(error_page, request, answer.status_code)

    return on_error


async def _call(handler: Callable[..., Any], request: Request, error: Exception) -> Response:
    answer = handler(request, error)
    result: Response = await answer if isinstance(answer, Awaitable) else answer
    return result
