"""A member as whoever answers for a store sees them: who else they may be, and who looked after them when.

What is looked for travels in the body of a request, as at the desk: a number in an address stands in histories. A merge
is told with what it brings together before it is done, since undoing it can't take back what was said meanwhile.
"""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.desk.showing import Places
from dashboards.entry.forms import Form
from dashboards.i18n import N_
from dashboards.members.person import Person, draw_person, place_of, standing
from dashboards.members.tabs import member_tabs
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership.models import Member, MemberSummary
from server.services import Services

router = page_router()

_GROUPS: Final = 10
_NOBODY: Final = N_(
    "Nobody your stores know goes by that. Ask for the whole number, the card, or the last four digits."
)
_ENTER: Final = N_("Enter a phone number, a card number or a name.")
_WHY: Final = N_("Say why, in at most 200 letters.")
_ONE: Final = N_("These two are one member already.")
_ELSEWHERE: Final = N_("Neither of the two is at home in one of your stores: ask somebody of one of theirs.")
_UNDONE: Final = N_("This can't be undone any more: somebody undid it, or the member was erased.")
_HERSELF: Final = N_("This is the same member.")
_SEVERAL: Final = N_("Several go by that: enter the card's number or the whole phone number.")
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]
Text = Annotated[str, Sent(max_length=200)]


@router.get("/members/people")
def people(request: Request, viewer: Reader) -> Response:
    """The field to look for somebody, and members who may be one person."""
    return _list(request, viewer)


@router.post("/members/people")
def find(request: Request, viewer: Poster, q: Text = "") -> Response:
    """Look for a member: one is opened, several are listed."""
    members = request.app.state.services.membership
    text = q.strip()
    if not text:
        return _list(request, viewer, problem=_ENTER, status=422)
    found = members.search(viewer.scope, text)
    if len(found) == 1:
        # A whole number finds members of any store; the page of one is for those who may know of them.
        try:
            known = members.member(viewer.scope, found[0].member_id)
        except NotFound:
            found = []
        else:
            return RedirectResponse(f"/members/people/{known.member_id}", status_code=303)
    return _list(request, viewer, asked=text, found=found, problem="" if found else _NOBODY)


@router.get("/members/people/{member_id}")
def person(request: Request, viewer: Reader, member_id: UUID, note: str = "") -> Response:
    """One member."""
    found = request.app.state.services.membership.member(viewer.scope, member_id)
    return draw_person(request, viewer, found, Person(note=note))


@router.post("/members/people/{member_id}/merge")
def merge(
    request: Request, viewer: Poster, member_id: UUID, other: Text = "", reason: Text = "", sure: Text = ""
) -> Response:
    """Merge somebody into this member: first what that brings together, then, confirmed, the merge."""
    services: Services = request.app.state.services
    kept = services.membership.member(viewer.scope, member_id)
    form = Form({"other": other, "reason": reason})
    gone = _named(services, viewer, kept, form)
    if gone is None:
        return draw_person(request, viewer, kept, Person(form=form), status=422)
    if sure:
        try:
            made = services.members.merging.merge(viewer.scope, kept.member_id, gone.member_id, reason)
        except InvalidInput:
            form.problems["reason"] = _WHY
        except Forbidden:
            form.problems["merge"] = _ELSEWHERE
        except Conflict:
            form.problems["merge"] = _ONE
        else:
            return RedirectResponse(f"/members/people/{made.member_id}?note=merged", status_code=303)
    seen = {"kept": standing(services, viewer, kept), "gone": standing(services, viewer, gone)}
    seen["after"] = _together(services, viewer, kept, gone)
    return draw_person(request, viewer, kept, Person(form=form, merging=seen), status=422 if form.problems else 200)


@router.post("/members/people/{member_id}/apart")
def apart(request: Request, viewer: Poster, member_id: UUID, other: Text = "") -> Response:
    """Two who look alike are two."""
    services: Services = request.app.state.services
    found = services.membership.member(viewer.scope, member_id)
    try:
        who = UUID(other)
    except ValueError as error:
        raise InvalidInput("this is no member's id", field="other", remedy="press the button again") from error
    services.members.merging.not_twins(viewer.scope, found.member_id, who)
    return RedirectResponse(f"/members/people/{found.member_id}?note=apart", status_code=303)


@router.post("/members/people/{member_id}/unmerge")
def unmerge(request: Request, viewer: Poster, member_id: UUID, merge_id: Text = "") -> Response:
    """Part two again who were merged."""
    services: Services = request.app.state.services
    found = services.membership.member(viewer.scope, member_id)
    form = Form({})
    known = [each.merge_id for each in services.members.merging.merges(viewer.scope, found.member_id)]
    number = next((each for each in known if str(each) == merge_id), None)
    if number is None:
        form.problems["merges"] = _UNDONE
        return draw_person(request, viewer, found, Person(form=form), status=422)
    try:
        parted = services.members.merging.undo(viewer.scope, number)
    except (NotFound, Conflict):
        form.problems["merges"] = _UNDONE
    except Forbidden:
        form.problems["merges"] = _ELSEWHERE
    else:
        # Apart again, one of them may be at home elsewhere and nobody the viewer knows.
        own = next((each for each in parted if viewer.scope.allows(each.home_store)), parted[0])
        return RedirectResponse(f"/members/people/{own.member_id}?note=parted", status_code=303)
    return draw_person(request, viewer, found, Person(form=form), status=422)


def _named(services: Services, viewer: Viewer, kept: Member, form: Form) -> Member | None:
    """Who is to be merged into the member; None with a problem noted."""
    text = form.text("other")
    try:
        wanted = UUID(text)
    except ValueError:
        found = services.membership.search(viewer.scope, text)
        if len(found) > 1:
            form.problems["other"] = _SEVERAL
            return None
        if not found:
            form.problems["other"] = _NOBODY
            return None
        wanted = found[0].member_id
    try:
        gone = services.membership.member(viewer.scope, wanted)
    except NotFound:
        form.problems["other"] = _NOBODY
        return None
    if gone.member_id == kept.member_id:
        form.problems["other"] = _HERSELF
        return None
    return gone


def _together(services: Services, viewer: Viewer, kept: Member, gone: Member) -> dict[str, str]:
    """What the one who is kept has after it: the sums, and the higher of both tiers."""
    _, rules = services.tiers.rules(viewer.scope)
    order = [level.slug for level in rules.levels]

    def rank(member: Member) -> int:
        return order.index(member.tier) if member.tier in order else -1

    return standing(services, viewer, max(kept, gone, key=rank), kept, gone)


def _list(
    request: Request,
    viewer: Viewer,
    *,
    asked: str = "",
    found: list[MemberSummary] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    services: Services = request.app.state.services
    stores = services.stores.stores(viewer.scope)
    places = Places.of(services, viewer.scope, stores, viewer.locale)
    groups = services.members.merging.suggest(viewer.scope, _GROUPS)

    def line(each: MemberSummary) -> dict[str, Any]:
        return place_of(each, places, viewer.locale)

    return renderer_of(request).page(
        request,
        "members/people.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/people",
        tabs=member_tabs(viewer, "/members/people"),
        asked=asked,
        problem=problem,
        found=[line(each) for each in found or ()],
        twins=[[line(each) for each in group.members] for group in groups],
    )
