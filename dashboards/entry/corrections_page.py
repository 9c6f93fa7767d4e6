"""What people say against the cameras: corrections made, withdrawn, and everything that ever was said of a store.

A correction is never changed, so this page has no "edit": what no longer holds is withdrawn with a reason, and another
made. Who may do what follows the service: a manager excludes a stretch, the rest is HQ's.
"""

from datetime import date, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form, Gettext
from dashboards.entry.tabs import store_tabs
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, NotFound
from server.kpi.corrections.in_force import Audit, Correction, NewCorrection

router = page_router()

KINDS: Final = {
    "excluded": N_("A stretch that is left out"),
    "staff_rate": N_("Staff rate"),
    "group_factor": N_("Visitors to a group"),
    "accuracy": N_("Hand count at a door"),
}
_FIELDS: Final = (
    *("kind", "reason", "starts_at", "ends_at", "line_id", "day_from", "day_to", "value"),
    *("counted", "missed", "invented", "of"),
)
#: What may hold for every store that has none of its own.
_OF_CHAIN: Final = ("staff_rate", "group_factor")
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]
Text = Annotated[str, Sent(max_length=500)]


@router.get("/stores/{store_id}/corrections")
def corrections(request: Request, store_id: str, viewer: Reader, kind: str = "excluded", note: str = "") -> Response:
    """A store's corrections with their history, and the form of one kind."""
    chosen = kind if kind in _may(viewer) else "excluded"
    return _page(request, viewer, store_id, Form({"kind": chosen}), note=note)


@router.post("/stores/{store_id}/corrections")
def make(
    request: Request,
    store_id: str,
    viewer: Poster,
    kind: Text = "",
    reason: Text = "",
    starts_at: Text = "",
    ends_at: Text = "",
    line_id: Text = "",
    day_from: Text = "",
    day_to: Text = "",
    value: Text = "",
    counted: Text = "",
    missed: Text = "",
    invented: Text = "",
    of: Text = "",
) -> Response:
    """Make a correction of one kind, of this store or (`of` is `chain`) of all that have none of their own."""
    sent = (kind, reason, starts_at, ends_at, line_id, day_from, day_to, value, counted, missed, invented, of)
    form = Form(dict(zip(_FIELDS, sent, strict=True)))
    services = request.app.state.services
    new = _new(form, store_id, services.stores.calendar(viewer.scope, store_id).timezone)
    if new is not None:
        try:
            services.corrections.make(viewer.scope, new)
        except (InvalidInput, NotFound) as error:
            form.refuse(error)
        else:
            return RedirectResponse(f"/stores/{quote(store_id, safe='')}/corrections?note=made", status_code=303)
    return _page(request, viewer, store_id, form, status=422)


@router.post("/corrections/{correction_id}/withdrawal")
def withdraw(
    request: Request,
    correction_id: int,
    viewer: Poster,
    store: Annotated[str, Sent(max_length=64)],
    reason: Text = "",
) -> Response:
    """Withdraw a correction, saying why."""
    try:
        request.app.state.services.corrections.withdraw(viewer.scope, correction_id, reason)
    except InvalidInput:
        form = Form({"kind": "excluded"}, {f"withdraw-{correction_id}": N_("Say why, in at most 500 letters.")})
        return _page(request, viewer, store, form, status=422)
    return RedirectResponse(f"/stores/{quote(store, safe='')}/corrections?note=withdrawn", status_code=303)


def _may(viewer: Viewer) -> list[str]:
    return list(KINDS) if viewer.scope.has_role("admin", "hq") else ["excluded"]


def _new(form: Form, store_id: str, zone: ZoneInfo) -> NewCorrection | None:
    """What was typed as a correction; None with problems noted."""
    kind = form.text("kind")
    is_chains = kind in _OF_CHAIN and form.text("of") == "chain"
    given: dict[str, Any] = {"reason": form.text("reason"), "store_id": None if is_chains else store_id}
    if not form.text("reason"):
        form.problems["reason"] = N_("Say why, in at most 500 letters.")
    if kind in ("excluded", "accuracy"):
        given["line_id"] = form.text("line_id") or None
    if kind == "excluded":
        given |= {"starts_at": form.instant("starts_at", zone), "ends_at": form.instant("ends_at", zone)}
    else:
        given |= {"day_from": form.day("day_from"), "day_to": form.day("day_to", optional=True)}
    if kind in ("staff_rate", "group_factor"):
        given["value"] = form.number("value", optional=False)
    if kind == "accuracy":
        counts = [form.whole(name) for name in ("counted", "missed", "invented")]
        if None not in counts:
            given["audit"] = Audit(*(count or 0 for count in counts))
    return None if form.problems else NewCorrection(kind, **given)  # type: ignore[arg-type]  # refused where unknown


def _page(
    request: Request, viewer: Viewer, store_id: str, form: Form, *, status: int = 200, note: str = ""
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    store = services.stores.store(scope, store_id)
    zone = services.stores.calendar(scope, store_id).timezone
    lines = services.stores.lines(scope, store_id)
    names = {line.line_id: line.name for line in lines}
    history = services.corrections.corrections(scope, store_id, withdrawn=True)
    may = _may(viewer)
    own = [(line.line_id, line.name) for line in lines if form.text("kind") != "accuracy" or line.kind == "door"]
    return renderer_of(request).page(
        request,
        "entry/corrections.html",
        viewer,
        status=status,
        stores=services.stores.stores(scope),
        address=f"/stores/{quote(store_id, safe='')}/corrections",
        store=store,
        tabs=store_tabs(store_id, "/corrections", viewer.locale),
        form=form,
        note=note,
        kinds=[(kind, gettext(KINDS[kind])) for kind in may],
        places=[("", store.name), ("chain", gettext(N_("All stores without one of their own")))]
        if scope.store_ids is None
        else [],
        lines=[("", gettext(N_("All lines"))), *own],
        standing=[
            _told(each, names, fmt, gettext, zone, may=_is_theirs(each, may, viewer))
            for each in history
            if not each.withdrawn_at
        ],
        withdrawn=[_told(each, names, fmt, gettext, zone, may=False) for each in history if each.withdrawn_at],
    )


def _is_theirs(each: Correction, may: list[str], viewer: Viewer) -> bool:
    return each.kind in may and (each.store_id is not None or viewer.scope.store_ids is None)


def what(each: Correction, names: dict[str, str], fmt: Formats, gettext: Gettext) -> str:
    """What a correction says, in words."""
    place = names.get(each.line_id, each.line_id) if each.line_id else gettext(N_("all lines"))
    if each.kind == "excluded":
        return gettext(N_("Left out: %(place)s")) % {"place": place}
    if each.kind == "accuracy":
        return gettext(
            N_("Times %(value)s, %(place)s (%(counted)s counted, %(missed)s missed, %(invented)s invented)")
        ) % {
            "value": fmt.number(each.value, 3),
            "place": place,
            "counted": fmt.number(each.counted),
            "missed": fmt.number(each.missed),
            "invented": fmt.number(each.invented),
        }
    if each.kind == "staff_rate":
        words = gettext(N_("Each member of staff comes in %(value)s times an hour"))
    else:
        words = gettext(N_("%(value)s visitors to a group"))
    return words % {"value": fmt.number(each.value, 2)}


def when(each: Correction, fmt: Formats, gettext: Gettext, zone: ZoneInfo) -> str:
    """From when until when it holds."""
    if each.starts_at is not None and each.ends_at is not None:
        return f"{_moment(each.starts_at, fmt, zone)} – {_moment(each.ends_at, fmt, zone)}"
    first: date = each.day_from or date.min
    if each.day_to is None:
        return gettext(N_("from %(day)s on")) % {"day": fmt.plain_day(first)}
    return f"{fmt.plain_day(first)} – {fmt.plain_day(each.day_to)}"


def _moment(at: datetime, fmt: Formats, zone: ZoneInfo) -> str:
    return f"{fmt.local_day(at, zone.key)} {fmt.clock(at, zone.key)}"


def _told(
    each: Correction, names: dict[str, str], fmt: Formats, gettext: Gettext, zone: ZoneInfo, *, may: bool
) -> dict[str, Any]:
    return {
        "id": each.correction_id,
        "kind": gettext(KINDS[each.kind]),
        "what": what(each, names, fmt, gettext),
        "when": when(each, fmt, gettext, zone),
        "chain": each.store_id is None,
        "why": each.reason,
        "by": each.made_by,
        "at": _moment(each.made_at, fmt, zone),
        "withdrawn_by": each.withdrawn_by or "",
        "withdrawn_at": _moment(each.withdrawn_at, fmt, zone) if each.withdrawn_at else "",
        "withdrawn_why": each.withdrawn_reason or "",
        "may_withdraw": may,
    }
