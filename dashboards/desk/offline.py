"""The desk while its network is away, and what came of what was entered then.

The browser keeps the page and seals what is entered (static/js/desk-worker.js); this is what it is given for that, and
where a person looks at what did not go through by itself: a number that was somebody's already, a form that was wrong.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.desk.form import CUSTOM, CUSTOM_PROBLEM, PROBLEMS, EnrolForm, enrol_form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import MEMBER_READERS, Viewer, posting, viewer_with
from server.access.models import Locale
from server.errors import NotFound
from server.membership.offline.models import Taken
from server.stores.models import Store

router = page_router()

#: How long a browser may keep entries for a person who doesn't come back to the network. A long night, not a week.
LASTS: Final = timedelta(hours=18)
#: What the page needs to stand without the network.
_FILES: Final = (
    *(
        f"css/{sheet}.css"
        for sheet in ("tokens", "base", "shell", "components", "tables", "forms", "charts", "pages", "desk")
    ),
    "js/desk-line.js",
    "js/desk-offline.js",
    "img/icons.svg",
    "img/mark.svg",
)
_TITLES: Final = {
    ("enrolment", "known"): N_("This number was a member already"),
    ("enrolment", "refused"): N_("An enrolment could not be taken"),
    ("check_in", "known"): N_("A check-in could not be taken"),
    ("check_in", "refused"): N_("A check-in could not be taken"),
}

Reader = Annotated[Viewer, Depends(viewer_with(*MEMBER_READERS))]
Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]


def desk_data(request: Request, viewer: Viewer) -> dict[str, Any]:
    """What a browser needs to keep the desk open without the network; nothing of it is a secret."""
    key = request.app.state.services.offline_desk.public_key
    assets = renderer_of(request).assets
    lasts = min(LASTS, viewer.session.expires_at - request.app.state.services.clock())
    return {
        **asdict(key),
        "user_id": viewer.scope.user_id,
        "locale": viewer.locale,
        # By the browser's own clock, which may be wrong: a duration, not a time.
        "lasts_ms": int(lasts.total_seconds() * 1000),
        "files": [assets.url(name) for name in _FILES],
    }


@router.get("/desk/worker.js")
def worker(request: Request) -> Response:
    """The script that stands between the desk's pages and the network; from here it may stand before all of them."""
    script = renderer_of(request).assets.file("js/desk-worker.js")
    headers = {"Service-Worker-Allowed": "/desk", "Cache-Control": "no-cache"}
    return Response(script.body, media_type=script.content_type, headers=headers)


@router.get("/desk/offline")
def offline(request: Request, viewer: Reader) -> Response:
    """The page that a browser keeps for the time without a network."""
    stores: list[Store] = request.app.state.services.stores.stores(viewer.scope)
    return renderer_of(request).page(
        request,
        "desk/offline.html",
        viewer,
        stores=stores,
        address="/desk",
        home_stores=stores,
        **enrol_form(request.app.state.services, viewer, EnrolForm()),
    )


@router.get("/desk/kept")
def kept(request: Request, viewer: Reader) -> Response:
    """What the person entered without a network and still has to look at."""
    services = request.app.state.services
    stores: list[Store] = services.stores.stores(viewer.scope)
    zone = stores[0].timezone if stores else "UTC"
    rows = [_row(each, zone, viewer.locale) for each in services.offline_desk.waiting(viewer.scope)]
    return renderer_of(request).page(request, "desk/kept.html", viewer, stores=stores, rows=rows)


@router.post("/desk/kept/{item_id}/settle")
def settle(request: Request, viewer: Poster, item_id: UUID) -> Response:
    """The person is done with an entry."""
    request.app.state.services.offline_desk.settle(viewer.scope, item_id)
    return RedirectResponse("/desk/kept", status_code=303)


@router.post("/desk/check-ins")
def check_in(
    request: Request,
    viewer: Poster,
    who: Annotated[str, Form(max_length=60)] = "",
    store: Annotated[str, Form(max_length=64)] = "",
    item: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Check a member in by card or number."""
    services = request.app.state.services
    now = services.clock()
    try:
        member_id = services.visits.check_in_as_told(viewer.scope, store, who.strip(), now, str(item or ""))
    except NotFound:
        return RedirectResponse("/desk?note=nobody", status_code=303)
    if item is not None:
        services.offline_desk.note_done(viewer.scope, item, "check_in", member_id)
    return RedirectResponse(f"/desk/members/{member_id}?note=checked-in", status_code=303)


def _row(taken: Taken, zone: str, locale: Locale) -> dict[str, str]:
    gettext, fmt = translations(locale).gettext, Formats(locale)
    row = {
        "id": str(taken.item_id),
        "outcome": taken.outcome,
        "title": gettext(_TITLES[taken.kind, taken.outcome]),
        "made_at": f"{fmt.local_day(taken.made_at, zone)} {fmt.clock(taken.made_at, zone)}",
        "text": _problem(taken, gettext),
        "href": "",
        "action": "",
    }
    if taken.outcome == "known":
        row |= {"href": f"/desk/members/{taken.member_id}", "action": gettext(N_("Open the member"))}
    elif taken.kind == "enrolment":
        row |= {"href": f"/desk/kept/{taken.item_id}", "action": gettext(N_("Put it right"))}
    return row


def _problem(taken: Taken, gettext: Callable[[str], str]) -> str:
    """What is wrong with an entry, in the reader's language where it is foreseen."""
    if taken.problem_field.startswith(CUSTOM):
        return gettext(CUSTOM_PROBLEM)
    return gettext(PROBLEMS[taken.problem_field]) if taken.problem_field in PROBLEMS else taken.problem
