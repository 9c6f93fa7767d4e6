"""The first hour: from an empty database to a live count, in steps that look for themselves whether they are done.

A step is left and taken up again like any page; nothing is remembered of it but what it is for. So a step that was done
on the command line is done here, too, and one whose box fell silent the same day is not undone.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from dashboards.admin.frame import page
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, unasked, viewer_with
from server.services import Services
from server.setup.repository import Progress
from server.setup.service import STEPS, FirstHour, Step

router = page_router()


@dataclass(frozen=True, slots=True)
class StepWords:
    """A step: what it is for, what to do, what shows that it is done, and what is awaited once it was begun."""

    title: str
    how: str
    done: str
    waiting: str
    button: str


WORDS: Final[dict[Step, StepWords]] = {
    "store": StepWords(
        N_("A store"),
        N_("Number, name, time zone and opening hours. With many, take them from a spreadsheet."),
        N_("%(name)s is there."),
        "",
        N_("Add a store"),
    ),
    "box": StepWords(
        N_("A box that is heard"),
        N_("Make one for the store, carry its file to it, and run there: doorline edge enrol, then doorline edge run."),
        N_("%(name)s was heard."),
        N_("It was added; nothing was heard of it yet. Is it on, and installed what you carried to it?"),
        N_("Add a box"),
    ),
    "camera": StepWords(
        N_("A camera that is seen"),
        N_("Register it here, and name it with its address in the box's edge.toml."),
        N_("The box sees a picture of %(name)s."),
        N_(
            "It is registered; no box showed a picture of it yet. Name it in the box's edge.toml as it is named here, "
            "and take a picture of it."
        ),
        N_("Add a camera"),
    ),
    "line": StepWords(
        N_("A line over the door"),
        N_("Take a picture, draw the line where people come in, try it on the last minute, and send it to the box."),
        N_("The box counts by a line."),
        N_("It is registered; no box counts by it yet. What became of it stands beside the picture."),
        N_("Draw a line"),
    ),
    "receipts": StepWords(
        N_("What the till sold"),
        N_("Bring in a till's file, or let the till send its receipts with an API key."),
        N_("Receipts came."),
        "",
        N_("Bring in a file"),
    ),
    "count": StepWords(
        N_("The first one counted"),
        N_("Walk through the door. The store's page counts along."),
        N_("Somebody was counted."),
        "",
        N_("Open the store's day"),
    ),
}
#: What keeps a camera from being seen, as its box says it.
_TROUBLE: Final = N_("The box says: %(reason)s")
Admin = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]


@router.get("/setup")
def first_hour(request: Request, viewer: Admin) -> Response:
    """All steps, the next one open."""
    services: Services = request.app.state.services
    found = services.setup.first_hour(viewer.scope)
    return page(
        request,
        viewer,
        "setup",
        tab="/setup",
        stores=services.stores.stores(viewer.scope),
        hour=found,
        steps=[_step(step, found, viewer) for step in STEPS],
        done=len(found.done),
        total=len(STEPS),
        live=_live(found.progress),
    )


@router.get("/setup/state")
@unasked
def state(request: Request, viewer: Admin) -> Response:
    """Which steps are done, for the page that waits for the next one."""
    services: Services = request.app.state.services
    found = services.setup.first_hour(viewer.scope)
    told = {"done": sorted(found.done), "begun": sorted(found.begun), "over": found.is_over}
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


@router.post("/setup/close")
def close(request: Request, viewer: Poster) -> Response:
    """Put the guide away."""
    services: Services = request.app.state.services
    services.setup.close(viewer.scope)
    return RedirectResponse("/admin/stores", status_code=303)


@router.post("/setup/open")
def open_again(request: Request, viewer: Poster) -> Response:
    """Take it out again."""
    services: Services = request.app.state.services
    services.setup.open_again(viewer.scope)
    return RedirectResponse("/setup", status_code=303)


def _step(step: Step, found: FirstHour, viewer: Viewer) -> dict[str, Any]:
    gettext = translations(viewer.locale).gettext
    words, told = WORDS[step], found.progress
    waiting = gettext(words.waiting) if step in found.begun else ""
    if waiting and step == "camera" and told.camera_trouble:
        waiting += " " + gettext(_TROUBLE) % {"reason": told.camera_trouble}
    names = {"store": told.store_name, "box": told.device_id, "camera": told.camera_id}
    return {
        "key": step,
        "title": gettext(words.title),
        "how": gettext(words.how),
        "done": gettext(words.done) % {"name": names.get(step) or ""} if step in found.done else "",
        "waiting": waiting,
        "button": gettext(words.button),
        "href": _href(step, told),
        "is_next": step == found.next,
        # What rests on a store can't be begun without one.
        "is_open": step == "store" or told.store_id is not None,
    }


def _href(step: Step, told: Progress) -> str:
    """Where a step is done, or looked at once it was begun."""
    store = quote(told.store_id or "", safe="")
    camera = quote(told.camera_id or "", safe="")
    box = quote(told.device_id or "", safe="")
    return {
        "store": f"/admin/stores/{store}" if store else "/admin/stores/new",
        "box": f"/admin/devices/{box}" if box else f"/admin/devices/new?store={store}",
        "camera": f"/admin/cameras/{store}/{camera}" if camera else f"/admin/cameras/{store}",
        "line": f"/admin/cameras/{store}/{camera}" if camera else f"/admin/cameras/{store}",
        "receipts": "/imports",
        "count": _live(told),
    }[step]


def _live(told: Progress) -> str:
    return f"/stores/{quote(told.store_id or '', safe='')}"
