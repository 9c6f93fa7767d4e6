"""All stores, to be searched and sorted by how they are run, with whether their boxes are heard; and the form for one.

A chain of two hundred shops is looked through by what is wrong: so whether a store is live stands beside it, and is one
of the things it can be searched by.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.admin.frame import page, refuse
from dashboards.entry.forms import Form
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput
from server.provisioning.models import EnrolledDevice
from server.stores.health import SILENT_AFTER
from server.stores.hours_text import read_hours
from server.stores.models import NewStore, Store

router = page_router()

#: How a store does: words, kind of badge.
STATES: Final[dict[str, tuple[str, str]]] = {
    "live": (N_("Connected"), "good"),
    "camera": (N_("A camera shows nothing"), "warn"),
    "silent": (N_("Silent"), "bad"),
    "none": (N_("No box yet"), ""),
}
_FIELDS: Final = (
    "store_id",
    "name",
    "region",
    "format",
    "tags",
    "timezone",
    "country",
    "subdivision",
    "currency",
    "day_starts",
    "hours",
)
_FRESH: Final = {
    "timezone": "Asia/Shanghai",
    "country": "CN",
    "currency": "CNY",
    "day_starts": "04:00",
    "hours": "10:00-22:00",
}
#: Offered beside the field; any IANA name may be typed.
ZONES: Final = (
    "Asia/Shanghai",
    "Asia/Urumqi",
    "Asia/Hong_Kong",
    "Asia/Macau",
    "Asia/Taipei",
    "Asia/Singapore",
    "Asia/Kuala_Lumpur",
    "Asia/Bangkok",
    "Asia/Jakarta",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Australia/Sydney",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "America/New_York",
    "America/Los_Angeles",
)
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=300)]


@router.get("/admin")
def admin(viewer: Reader) -> Response:  # noqa: ARG001  # whoever may not is refused
    """Where setting up begins."""
    return RedirectResponse("/admin/stores", status_code=303)


@router.get("/admin/stores")
def stores(
    request: Request,
    viewer: Reader,
    q: str = "",
    region: str = "",
    format: str = "",  # noqa: A002 - as reports call it
    tag: str = "",
    state: str = "",
) -> Response:
    """The stores that are asked for."""
    services, scope = request.app.state.services, viewer.scope
    every: list[Store] = services.stores.stores(scope)
    states = store_states(request, viewer)
    asked = {"q": q, "region": region, "format": format, "tag": tag, "state": state}
    found = [store for store in every if _fits(store, states.get(store.store_id, "none"), asked)]
    return page(
        request,
        viewer,
        "stores",
        tab="/admin/stores",
        stores=every,
        asked=asked,
        total=len(every),
        rows=[
            {
                "store": store,
                "href": store_href(store.store_id),
                "state": STATES[states.get(store.store_id, "none")],
                "hours": f"{store.day_starts:%H:%M}",
            }
            for store in found
        ],
        regions=sorted({store.region for store in every if store.region}),
        formats=sorted({store.format for store in every if store.format}),
        tags=sorted({tag for store in every for tag in store.tags}),
        states=STATES,
        has_guide=scope.has_role("admin") and services.setup.first_hour(scope).is_shown,
    )


@router.get("/admin/stores/new")
def new_store(request: Request, viewer: Reader) -> Response:
    """The form for one store."""
    return _form(request, viewer, Form(_FRESH))


@router.post("/admin/stores/new")
def add(
    request: Request,
    viewer: Poster,
    store_id: Text = "",
    name: Text = "",
    region: Text = "",
    format: Text = "",  # noqa: A002
    tags: Text = "",
    timezone: Text = "",
    country: Text = "",
    subdivision: Text = "",
    currency: Text = "",
    day_starts: Text = "",
    hours: Text = "",
) -> Response:
    """Add a store."""
    given = (store_id, name, region, format, tags, timezone, country, subdivision, currency, day_starts, hours)
    form = Form(dict(zip(_FIELDS, given, strict=True)))
    starts = form.clock("day_starts")
    if starts is not None:
        try:
            added = request.app.state.services.stores.add_store(
                viewer.scope,
                NewStore(
                    store_id=form.text("store_id"),
                    name=form.text("name"),
                    timezone=form.text("timezone"),
                    region=form.text("region"),
                    country=form.text("country").upper(),
                    currency=form.text("currency").upper(),
                    day_starts=starts,
                    hours=read_hours(form.text("hours")),
                    subdivision=form.text("subdivision").upper(),
                    format=form.text("format"),
                    tags=words(form.text("tags")),
                ),
            )
        except (InvalidInput, Conflict) as error:
            refuse(form, error, opens="hours", closes="hours")
            return _form(request, viewer, form, status=error.status)
        return RedirectResponse(f"{store_href(added.store_id)}?note=added", status_code=303)
    return _form(request, viewer, form, status=422)


def store_href(store_id: str) -> str:
    """The address of a store's page of setting up."""
    return f"/admin/stores/{quote(store_id, safe='')}"


def words(text: str) -> list[str]:
    """Tags as typed, with commas of either language between them."""
    return sorted({each.strip() for each in text.replace("，", ",").replace("、", ",").split(",") if each.strip()})


def store_states(request: Request, viewer: Viewer) -> Mapping[str, str]:
    """How each store that has a box does, by a key of `STATES`."""
    services = request.app.state.services
    dumb = {each.store_id for each in services.jobs.silences(viewer.scope) if each.camera_id}
    by_store: dict[str, list[EnrolledDevice]] = defaultdict(list)
    for device in services.provisioning.devices(viewer.scope):
        if device.revoked_at is None:
            by_store[device.store_id].append(device)
    now = services.clock()
    return {store_id: _state(own, now, shows_nothing=store_id in dumb) for store_id, own in by_store.items()}


def is_heard(device: EnrolledDevice, now: datetime) -> bool:
    """Whether a box is connected, as far as anybody can tell."""
    return device.online and device.status_at is not None and now - device.status_at <= SILENT_AFTER


def _state(devices: Sequence[EnrolledDevice], now: datetime, *, shows_nothing: bool) -> str:
    if not all(is_heard(device, now) for device in devices):
        return "silent"
    return "camera" if shows_nothing else "live"


def _fits(store: Store, state: str, asked: Mapping[str, str]) -> bool:
    looked_at = f"{store.store_id} {store.name} {store.region}".casefold()
    return (
        all(part in looked_at for part in asked["q"].casefold().split())
        and asked["region"] in {"", store.region}
        and asked["format"] in {"", store.format}
        and (not asked["tag"] or asked["tag"] in store.tags)
        and asked["state"] in {"", state}
    )


def _form(request: Request, viewer: Viewer, form: Form, *, status: int = 200) -> Response:
    services = request.app.state.services
    every: list[Store] = services.stores.stores(viewer.scope)
    values: dict[str, Any] = {
        "form": form,
        "fields": _FIELDS,
        "zones": ZONES,
        "regions": sorted({store.region for store in every if store.region}),
        "formats": sorted({store.format for store in every if store.format}),
    }
    return page(
        request,
        viewer,
        "store_new",
        tab="/admin/stores",
        status=status,
        stores=every,
        address="/admin/stores/new",
        **values,
    )
