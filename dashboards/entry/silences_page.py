"""Boxes and cameras that went silent: what, since when and what to do. One ends by itself when it is heard again."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response

from dashboards.entry.forms import Gettext
from dashboards.entry.tabs import store_tabs
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, viewer_with
from server.access.models import Locale
from server.jobs.models import Silence
from server.stores.models import Store

router = page_router()

#: State to what it is, and what to do.
_WORDS: Final = {
    "silent": (
        N_("The box says nothing"),
        N_("See that it has power and its network cable. It keeps counting and sends what it counted once it is back."),
    ),
    "offline": (N_("No picture"), N_("See that the camera has power and its cable; restart it if it stays dark.")),
    "frozen": (N_("The picture stands still"), N_("Restart the camera: unplug it, wait ten seconds, plug it in.")),
    "dark": (N_("Too dark to count"), N_("Turn the light at the door on, or ask for the camera to be adjusted.")),
    "covered": (N_("Something covers the camera"), N_("Take away what hangs or stands before it.")),
    "stalled": (N_("Too few pictures"), N_("Restart the box; if it goes on, tell the chain's IT.")),
    "never_seen": (N_("Not reporting yet"), N_("The box has not said anything of this camera: see that it is set up.")),
}
#: Of a box that never said a word.
_UNHEARD: Final = (
    N_("The box has not been heard yet"),
    N_("Start it with the file it was given: it speaks within a minute. If not, see that it reaches the server."),
)
_UNKNOWN: Final = (N_("Silent"), N_("Tell the chain's IT."))
_PAST: Final = 40
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]


@router.get("/stores/{store_id}/silences")
def of_store(request: Request, store_id: str, viewer: Reader) -> Response:
    """A store's silences, those that last and those that ended."""
    return _page(request, viewer, store_id)


@router.get("/silences")
def of_all(request: Request, viewer: Reader) -> Response:
    """Those of all the viewer's stores."""
    return _page(request, viewer, None)


def open_silences(request: Request, viewer: Viewer, store_id: str | None, stores: list[Store]) -> list[dict[str, Any]]:
    """Those that last, of a store or of all of the viewer's, in their language; the latest noticed first."""
    services = request.app.state.services
    found = services.jobs.silences(viewer.scope, store_id)
    return [_line(each, stores, services.clock(), viewer.locale) for each in found]


def _page(request: Request, viewer: Viewer, store_id: str | None) -> Response:
    services, scope = request.app.state.services, viewer.scope
    stores: list[Store] = services.stores.stores(scope)
    store = services.stores.store(scope, store_id) if store_id is not None else None
    ended = [
        each for each in services.jobs.silences(scope, store_id, past=True, limit=500) if each.resolved_at is not None
    ]
    now = services.clock()
    return renderer_of(request).page(
        request,
        "entry/silences.html",
        viewer,
        stores=stores,
        store=store,
        tabs=store_tabs(store_id, "/silences", viewer.locale) if store_id is not None else [],
        silences=open_silences(request, viewer, store_id, stores),
        ended=[_line(each, stores, now, viewer.locale) for each in ended[:_PAST]],
    )


def _line(each: Silence, stores: list[Store], now: datetime, locale: Locale) -> dict[str, Any]:
    gettext, fmt = translations(locale).gettext, Formats(locale)
    store = next((one for one in stores if one.store_id == each.store_id), None)
    zone = store.timezone if store else "UTC"
    what, todo = _WORDS.get(each.state, _UNKNOWN)
    if each.last_heard is None and not each.camera_id:
        what, todo = _UNHEARD
    since = each.last_heard or each.noticed_at

    def moment(at: datetime) -> str:
        return f"{fmt.local_day(at, zone)} {fmt.clock(at, zone)}"

    return {
        "what": gettext(what),
        "todo": gettext(todo),
        "device": each.camera_id or each.device_id,
        "is_box": not each.camera_id,
        "store": store.name if store else each.store_id,
        "href": f"/stores/{quote(each.store_id, safe='')}",
        "since": moment(since),
        "for": _length((each.resolved_at or now) - since, gettext),
        "never": each.last_heard is None,
        "until": moment(each.resolved_at) if each.resolved_at else "",
    }


def _length(span: timedelta, gettext: Gettext) -> str:
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 120:
        return gettext(N_("%(number)d min")) % {"number": minutes}
    if minutes < 48 * 60:
        return gettext(N_("%(number)d hours")) % {"number": minutes // 60}
    return gettext(N_("%(number)d days")) % {"number": minutes // 1440}
