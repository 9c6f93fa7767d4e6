"""The audit trail for administrators: searched by who, what and when, with its head to be noted and its chain walked.

The walk reads the whole trail, so it is asked for and not part of the page. A head that was noted elsewhere proves more
than any walk: whoever may do everything in the database can make a whole chain anew.
"""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi import Form as Sent

from dashboards.admin.frame import page
from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.access.audit_repository import Wanted
from server.access.models import AuditEntry
from server.access.trail import Head, Verdict
from server.errors import InvalidInput
from server.services import Services

router = page_router()

_LISTED: Final = 100
_MOST_FAULTS_SHOWN: Final = 20
#: First words of what is done, and what they speak of; every word that is written stands in one of them.
AREAS: Final = (
    ("user,totp", N_("Users")),
    ("session", N_("Sessions")),
    ("api_key", N_("API keys")),
    ("member,desk", N_("Members")),
    ("points", N_("Points")),
    ("tier", N_("Tiers")),
    ("coupon", N_("Coupons")),
    ("value", N_("Stored value")),
    ("device,dead_letter", N_("Boxes")),
    ("store,holiday,fact,roster", N_("Stores")),
    ("correction,roll_up", N_("Corrections")),
    ("kpi,setup,view", N_("Settings")),
    ("receipt,receipts,rate", N_("Receipts")),
    ("webhook", N_("Webhooks")),
    ("audit", N_("The trail itself")),
)
_NO_HEAD: Final = N_("This is no head of a trail. Paste it as it was printed: number:hash.")
Admin = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]


@router.get("/admin/audit")
def trail(
    request: Request,
    viewer: Admin,
    who: str = "",
    what: str = "",
    subject: str = "",
    first: str = "",
    last: str = "",
    before: int | None = None,
) -> Response:
    """The newest lines that are asked for."""
    form = Form({"who": who, "what": what, "subject": subject, "first": first, "last": last})
    return _page(request, viewer, form, before=before)


@router.post("/admin/audit/verdict")
def verify(request: Request, viewer: Poster, head: Annotated[str, Sent(max_length=100)] = "") -> Response:
    """Walk along the whole chain."""
    services: Services = request.app.state.services
    form = Form({"head": head})
    try:
        noted = Head.parse(head) if head.strip() else None
    except InvalidInput:
        form.problems["head"] = _NO_HEAD
        return _page(request, viewer, form, status=422)
    return _page(request, viewer, form, verdict=services.access.trail.verify(viewer.scope, noted))


def _page(
    request: Request,
    viewer: Viewer,
    form: Form,
    *,
    before: int | None = None,
    verdict: Verdict | None = None,
    status: int = 200,
) -> Response:
    services: Services = request.app.state.services
    stores = services.stores.stores(viewer.scope)
    zone = stores[0].timezone if stores else "UTC"
    since, until = _day(form, "first", zone), _day(form, "last", zone, timedelta(days=1))
    wanted = Wanted(form.text("who"), form.text("what"), form.text("subject"), "", since, until)
    lines = services.access.trail.newest(viewer.scope, _LISTED + 1, before, wanted)
    fmt = Formats(viewer.locale)
    asked = {name: form.text(name) for name in ("who", "what", "subject", "first", "last") if form.text(name)}
    older = f"/admin/audit?{urlencode({**asked, 'before': lines[_LISTED - 1].audit_id})}" if _more(lines) else ""
    return page(
        request,
        viewer,
        "audit",
        tab="/admin/audit",
        status=status,
        address="/admin/audit",
        stores=stores,
        form=form,
        areas=AREAS,
        zone=zone,
        lines=[_line(each, zone, fmt) for each in lines[:_LISTED]],
        older=older,
        is_first=before is None,
        head=str(services.access.trail.head(viewer.scope)),
        verdict=verdict,
        faults=verdict.faults[:_MOST_FAULTS_SHOWN] if verdict else [],
    )


def _more(lines: list[AuditEntry]) -> bool:
    return len(lines) > _LISTED


def _day(form: Form, name: str, zone: str, more: timedelta = timedelta(0)) -> datetime | None:
    """The beginning of a day that was asked for, and so much later; None where none was."""
    day: date | None = form.day(name, optional=True)
    try:
        return None if day is None else datetime.combine(day + more, time(0), ZoneInfo(zone))
    except OverflowError:
        return None


def _line(each: AuditEntry, zone: str, fmt: Formats) -> dict[str, Any]:
    return {
        "number": each.audit_id,
        "at": f"{fmt.local_day(each.at, zone)} {fmt.clock(each.at, zone, seconds=True)}",
        "who": each.actor,
        "what": each.action,
        "subject": each.subject,
        "store": each.store_id or "",
        "detail": " · ".join(f"{key}: {_plain(value)}" for key, value in each.detail.items()),
    }


def _plain(value: object) -> str:
    """A value as people write it: brackets and quotes are a program's."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "—"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items()) or "—"
    return "—" if value is None or value == "" else str(value)
