"""Adjustments of points that wait for a second person, and what was decided lately."""

from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.members.tabs import ADJUSTERS, member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput, NotFound
from server.membership.points.models import AdjustmentRequest, NotEnough

router = page_router()

_LISTED: Final = 50
_WHY: Final = N_("To decline, say why.")
_NOT_ENOUGH: Final = N_("The member hasn't so many points any more.")
_DECIDED: Final = N_("Somebody has decided this meanwhile.")
Reader = Annotated[Viewer, Depends(viewer_with(*ADJUSTERS))]
Poster = Annotated[Viewer, Depends(posting(*ADJUSTERS))]


@router.get("/members/requests")
def requests(request: Request, viewer: Reader, note: str = "") -> Response:
    """What waits, oldest first."""
    return _page(request, viewer, Form(), note=note)


@router.post("/members/requests/{request_id}")
def decide(
    request: Request,
    request_id: int,
    viewer: Poster,
    decision: Annotated[str, Sent(max_length=20)] = "",
    reason: Annotated[str, Sent(max_length=500)] = "",
) -> Response:
    """Approve or decline what somebody else asked for."""
    said = "approved" if decision == "approved" else "declined"
    form = Form({f"reason-{request_id}": reason})
    try:
        request.app.state.services.adjustments.decide(viewer.scope, request_id, said, reason)
    except InvalidInput:
        form.problems[f"reason-{request_id}"] = _WHY
    except NotEnough:
        form.problems[f"reason-{request_id}"] = _NOT_ENOUGH
    except (Conflict, NotFound):
        form.problems["request"] = _DECIDED
    else:
        return RedirectResponse(f"/members/requests?note={said}", status_code=303)
    return _page(request, viewer, form, status=422)


def _page(request: Request, viewer: Viewer, form: Form, *, note: str = "", status: int = 200) -> Response:
    services, scope = request.app.state.services, viewer.scope
    stores = services.stores.stores(scope)
    zone, fmt = zone_of(stores).key, Formats(viewer.locale)
    waiting = services.adjustments.requests(scope, limit=_LISTED)
    decided = services.adjustments.requests(scope, decided=True, limit=20)
    return renderer_of(request).page(
        request,
        "members/requests.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/requests",
        tabs=member_tabs(viewer, "/members/requests"),
        form=form,
        note=note,
        waiting=[_line(services, viewer, each, fmt, zone) for each in waiting],
        decided=[_line(services, viewer, each, fmt, zone) for each in decided],
    )


def _line(services: Any, viewer: Viewer, each: AdjustmentRequest, fmt: Formats, zone: str) -> dict[str, Any]:
    try:
        member = services.membership.member(viewer.scope, each.member_id)
        who = f"{member.name} · {member.card_no}"
    except NotFound:
        who = str(each.member_id)[-8:]
    return {
        "id": each.request_id,
        "who": who,
        "href": f"/desk/members/{each.member_id}",
        "points": ("+" if each.points > 0 else "-") + fmt.number(abs(each.points)),
        "why": each.reason,
        "by": each.requested_by,
        "at": f"{fmt.local_day(each.requested_at, zone)} {fmt.clock(each.requested_at, zone)}",
        "is_own": each.requested_by == viewer.scope.actor,
        "decision": each.decision or "",
        "decided_by": each.decided_by or "",
        "decided_why": each.decision_reason or "",
    }
