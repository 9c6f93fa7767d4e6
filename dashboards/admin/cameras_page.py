"""A store's cameras: registered here, each with how it does and what is drawn on it."""

from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.admin.drawing_page import camera_href
from dashboards.admin.drawing_words import WORDS
from dashboards.admin.frame import page, say
from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput
from server.services import Services
from server.stores.models import Camera, Store

router = page_router()

_STATES: Final = {
    "ok": (N_("Working"), "good"),
    "offline": (N_("No picture"), "bad"),
    "frozen": (N_("Stands still"), "bad"),
    "dark": (N_("Too dark"), "warn"),
    "covered": (N_("Covered"), "bad"),
    "stalled": (N_("The box can't keep up"), "warn"),
    "never_seen": (N_("Not reported yet"), "warn"),
}
_NOTES: Final = {
    "added": N_("The camera is registered. Coverage is due from it from now on."),
    "removed": N_("The camera is out of service. Its past stays."),
}
_NOT_THE_NAME: Final = N_("This is not the camera's name. Type it as it stands above.")
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=300)]


@router.get("/admin/cameras/{store_id}")
def cameras(request: Request, store_id: str, viewer: Reader, note: str = "") -> Response:
    """A store's cameras, and the form for another."""
    return _page(request, viewer, store_id, note=note)


@router.post("/admin/cameras/{store_id}")
def add(request: Request, store_id: str, viewer: Poster, camera: Text = "", name: Text = "") -> Response:
    """Register a camera."""
    services: Services = request.app.state.services
    form = Form({"camera": camera, "name": name})
    try:
        services.stores.add_camera(viewer.scope, store_id, form.text("camera"), form.text("name"))
    except (InvalidInput, Conflict) as error:
        form.problems["camera"] = say(error, "camera_id")
        return _page(request, viewer, store_id, form=form, status=error.status)
    return RedirectResponse(f"{_href(store_id)}?note=added", status_code=303)


@router.post("/admin/cameras/{store_id}/{camera_id}/removal")
def remove(request: Request, store_id: str, camera_id: str, viewer: Poster, confirm: Text = "") -> Response:
    """Take a camera out of service."""
    services: Services = request.app.state.services
    services.stores.store(viewer.scope, store_id)
    if confirm.strip() != camera_id:
        form = Form({"confirm": confirm}, {"confirm": _NOT_THE_NAME})
        return _page(request, viewer, store_id, removing=(camera_id, form), status=422)
    services.stores.remove_camera(viewer.scope, camera_id)
    return RedirectResponse(f"{_href(store_id)}?note=removed", status_code=303)


def _href(store_id: str) -> str:
    return f"/admin/cameras/{quote(store_id, safe='')}"


def _page(
    request: Request,
    viewer: Viewer,
    store_id: str,
    *,
    note: str = "",
    form: Form | None = None,
    removing: tuple[str, Form] | None = None,
    status: int = 200,
) -> Response:
    services: Services = request.app.state.services
    scope = viewer.scope
    store: Store = services.stores.store(scope, store_id)
    every = services.stores.cameras(scope, store_id)
    return page(
        request,
        viewer,
        "cameras",
        tab="/admin/stores",
        status=status,
        address=_href(store_id),
        stores=services.stores.stores(scope),
        store=store,
        note=_NOTES.get(note, ""),
        form=form or Form({"camera": _proposed(store_id, every)}),
        is_admin=scope.has_role("admin"),
        rows=_rows(services, viewer, store, removing),
        gone=[each for each in every if each.removed_at is not None],
    )


def _rows(services: Services, viewer: Viewer, store: Store, removing: tuple[str, Form] | None) -> list[dict[str, Any]]:
    fmt = Formats(viewer.locale)
    lines = services.stores.lines(viewer.scope, store.store_id)

    def moment(at: datetime | None) -> str:
        return f"{fmt.local_day(at, store.timezone)} {fmt.clock(at, store.timezone)}" if at else ""

    return [
        {
            "camera": health,
            "href": camera_href(store.store_id, health.camera_id),
            "state": _STATES[health.state],
            "seen": moment(health.last_seen),
            "lines": [(line.name, WORDS[line.kind]) for line in lines if line.camera_id == health.camera_id],
            "removing": removing[1] if removing and removing[0] == health.camera_id else None,
        }
        for health in services.stores.camera_health(viewer.scope, store.store_id)
    ]


def _proposed(store_id: str, every: list[Camera]) -> str:
    """A name that is free in the store."""
    taken = {each.camera_id for each in every}
    return next(name for number in range(1, len(every) + 2) if (name := f"{store_id}-C{number}") not in taken)
