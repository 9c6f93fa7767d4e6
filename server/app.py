"""The API as one application: every package's routes, and one shape for every error.

Whatever goes wrong, from a mistyped path to a failure nobody foresaw, is answered as
``{"error": {"code", "message", "field", "remedy", "detail"}}``; a client needs one way to read errors. The
framework has three shapes of its own, which is why each of its kinds is caught here.
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from server.access import admin_api
from server.access import api as access_api
from server.errors import DoorlineError, TooManyRequests, Unavailable
from server.ingest import api as ingest_api
from server.jobs import api as jobs_api
from server.kpi import api as kpi_api
from server.kpi import correction_api
from server.membership import api as membership_api
from server.membership import desk_api as member_desk_api
from server.membership import rights_api as member_rights_api
from server.membership.coupons import api as coupons_api
from server.membership.offline import api as offline_api
from server.membership.points import api as points_api
from server.membership.stored_value import api as stored_value_api
from server.membership.stored_value import rules_api as value_rules_api
from server.membership.tiers import api as tiers_api
from server.membership.value import api as value_api
from server.membership.visits import api as visits_api
from server.membership.visits import share_api
from server.middleware import ApiHeaders, BodyLimit, RateLimit, RequestLog
from server.requests import api as requests_api
from server.sales import api as sales_api
from server.sales import import_api, rate_api
from server.services import Services
from server.stores import api as stores_api
from server.stores import opening_api
from server.webhooks import api as webhooks_api

_log = structlog.get_logger(__name__)

_TAGS: Final = [
    {"name": "access", "description": "Signing in, users, API keys and the audit trail."},
    {"name": "stores", "description": "Stores, opening hours, cameras, lines, boxes, promotions and weather."},
    {"name": "receipts", "description": "What the tills sold: by batch or by file, each receipt once."},
    {"name": "members", "description": "VIPs: enrolled once per phone number, encrypted at rest."},
    {"name": "tiers", "description": "Who has which tier by what rules, and what other rules would do."},
    {"name": "points", "description": "Earned on receipts, spent at the desk; a ledger only ever added to."},
    {"name": "coupons", "description": "What is promised, issued once for each reason and redeemed once."},
    {"name": "stored value", "description": "What was paid in beforehand: cards, a double-entry ledger, settlement."},
    {"name": "ingest", "description": "What the boxes send, and what was measured, late or missing of it."},
    {"name": "requests", "description": "What is asked of a box: a snapshot, recent paths, a line tried on them."},
    {"name": "kpi", "description": "Traffic, conversion and sales, each with its coverage."},
    {"name": "jobs", "description": "What ran by the clock, and which boxes and cameras are silent."},
    {"name": "webhooks", "description": "Who outside is told what happens: signed, and at least once."},
    {"name": "health", "description": "Is this process well?"},
]
#: Codes of errors that come from the framework and not from us.
_CODES: Final = {
    400: "invalid_input",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
}
_REMEDIES: Final = {
    404: "check the address",
    405: "use one of the methods in the Allow header",
    413: "send less at a time",
}


class ErrorDetail(BaseModel):
    """What was wrong, where, and what to do."""

    code: str
    message: str
    field: str | None
    remedy: str | None
    detail: dict[str, str] | None


class ErrorBody(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail


class Health(BaseModel):
    """A process that is well."""

    status: str
    database: str


def create_app(services: Services) -> FastAPI:
    """The API over some services; pages are mounted on it by whoever starts the web process."""
    app = FastAPI(
        title="Doorline",
        version=_version(),
        summary="Who came, who bought, who came back.",
        description="Sign in with `POST /api/v1/session`, or send an API key as `Authorization: Bearer <key>`.",
        openapi_tags=_TAGS,
        # The pages that come with the framework load their scripts from elsewhere; a closed network has no elsewhere.
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}},
    )
    app.state.services = services
    for package in (
        access_api,
        admin_api,
        stores_api,
        opening_api,
        sales_api,
        import_api,
        rate_api,
        webhooks_api,
        membership_api,
        stored_value_api,
        value_rules_api,
        coupons_api,
        member_desk_api,
        member_rights_api,
        visits_api,
        share_api,
        offline_api,
        points_api,
        tiers_api,
        value_api,
        ingest_api,
        requests_api,
        kpi_api,
        correction_api,
        jobs_api,
    ):
        app.include_router(package.router)
    _add_health(app, services)
    app.add_exception_handler(DoorlineError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(psycopg.DataError, _on_data_error)
    app.add_exception_handler(Exception, _on_failure)
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimit, per_minute=services.settings.requests_per_minute)
    app.add_middleware(ApiHeaders)
    app.add_middleware(RequestLog)
    app.openapi = partial(_described, app)  # type: ignore[method-assign]
    return app


def _add_health(app: FastAPI, services: Services) -> None:
    @app.get("/healthz", tags=["health"], summary="Is this process well?")
    def healthz() -> Health:
        """Answers 200 when the database can be asked, 503 otherwise."""
        services.db.ping()
        return Health(status="ok", database="ok")


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    remedy: str | None = None,
    detail: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error in the one shape."""
    error = {
        "code": code,
        "message": message,
        "field": field,
        "remedy": remedy,
        "detail": None if detail is None else dict(detail),
    }
    return JSONResponse({"error": error}, status_code=status, headers=dict(headers or {}))


def _on_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DoorlineError)  # noqa: S101 - it is registered for nothing else
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequests | Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request failed", path=request.url.path, code=error.code, reason=error.message)
    return error_response(
        error.status,
        error.code,
        error.message,
        field=error.field,
        remedy=error.remedy,
        detail=error.detail,
        headers=headers,
    )


def _on_validation_error(_request: Request, error: Exception) -> Response:
    """The first thing that is wrong, by its field. What was sent is not repeated: it may be a password."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for nothing else
    first: Mapping[str, Any] = error.errors()[0] if error.errors() else {"msg": "it can't be read"}
    place = [str(part) for part in first.get("loc", ())]
    field = ".".join(place[1:]) or (place[0] if place else None)
    return error_response(
        422,
        "invalid_input",
        f"{field or 'the request'}: {first['msg']}",
        field=field,
        remedy="see this route in the API's description at /openapi.json",
    )


def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    status = error.status_code
    return error_response(
        status,
        _CODES.get(status, HTTPStatus(status).name.lower()),
        str(error.detail),
        remedy=_REMEDIES.get(status),
        headers=error.headers,
    )


def _on_data_error(request: Request, error: Exception) -> Response:
    """The database refused a value, such as a text with a NUL: the caller's mistake, whichever route it came by."""
    _log.warning("value refused by the database", path=request.url.path, reason=str(error).splitlines()[0])
    return error_response(
        422, "invalid_input", "a value can't be stored", remedy="send printable text and numbers within bounds"
    )


def _on_failure(request: Request, error: Exception) -> Response:
    _log.error("request broke", path=request.url.path, exc_info=error)
    return error_response(
        500, "internal", "something broke on our side", remedy="try again; the log has it under this request's id"
    )


def _described(app: FastAPI) -> dict[str, Any]:
    """The description; a time of day on a store's clock has no offset, which the format called ``time`` must have."""
    if app.openapi_schema is None:
        _name_times(FastAPI.openapi(app))
    return FastAPI.openapi(app)


def _name_times(node: object) -> None:
    if isinstance(node, dict):
        if node.get("format") == "time":
            node["format"] = "partial-time"
        for each in node.values():
            _name_times(each)
    elif isinstance(node, list):
        for each in node:
            _name_times(each)


def _version() -> str:
    try:
        return version("doorline")
    except PackageNotFoundError:
        return "0"
