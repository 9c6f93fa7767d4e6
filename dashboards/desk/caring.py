"""What a desk writes beside a member: check-ins, notes, consents, advisor, tags, and their page for the phone."""

from typing import Annotated, cast, get_args
from uuid import UUID

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.desk.drawing import PhonePage, Trouble, draw
from dashboards.desk.refusals import refusal
from dashboards.pages import page_router
from dashboards.viewer import MEMBER_READERS, Viewer, posting
from server.errors import InvalidInput
from server.membership import pictures
from server.membership.models import NewConsent, Purpose, Reach
from server.membership.wording import by_way

router = page_router()

Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]


@router.post("/desk/members/{member_id}/check-in")
def check_in(
    request: Request,
    viewer: Poster,
    member_id: UUID,
    item: Annotated[UUID, Form()],
    store: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """The member is here."""
    request.app.state.services.visits.check_in(viewer.scope, store, member_id, "name", str(item))
    return _back(member_id, "checked-in")


@router.post("/desk/members/{member_id}/notes")
def note(
    request: Request, viewer: Poster, member_id: UUID, text: Annotated[str, Form(max_length=8000)] = ""
) -> Response:
    """Write something down about the member, for colleagues of the store."""
    if not text.strip():
        return _back(member_id, "")
    try:
        request.app.state.services.members.notes.write(viewer.scope, member_id, text)
    except InvalidInput as error:
        return _refused(request, viewer, member_id, "note", error, text)
    return _back(member_id, "noted")


@router.post("/desk/members/{member_id}/consents")
def consent(
    request: Request,
    viewer: Poster,
    member_id: UUID,
    purpose: Annotated[str, Form(max_length=20)] = "",
    reach: Annotated[str, Form(max_length=20)] = "",
    granted: Annotated[bool, Form()] = False,
    version: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """What the member answers from now on, about one purpose and one way, in the words that were shown to them."""
    services = request.app.state.services
    if purpose not in get_args(Purpose) or reach not in get_args(Reach):
        raise InvalidInput("there is no such purpose or way", field="purpose", remedy="choose one of the list")
    about = cast("Purpose", purpose)
    shown = services.members.consents.shown_as(viewer.scope, viewer.locale, {about: version})[about]
    way = cast("Reach", reach)
    answer = NewConsent(shown.purpose, granted, by_way(shown, way), reach=way, version=shown.version)
    services.membership.record_consent(viewer.scope, member_id, answer)
    return _back(member_id, "consent")


@router.post("/desk/members/{member_id}/advisor")
def advisor(
    request: Request, viewer: Poster, member_id: UUID, advisor: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Who looks after the member from now on; an empty name lets nobody."""
    try:
        request.app.state.services.members.care.assign(viewer.scope, member_id, advisor)
    except InvalidInput as error:
        return _refused(request, viewer, member_id, "advisor", error, advisor)
    return _back(member_id, "advisor")


@router.post("/desk/members/{member_id}/tags")
def tags(
    request: Request,
    viewer: Poster,
    member_id: UUID,
    add: Annotated[str, Form(max_length=400)] = "",
    remove: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """Put tags on the member, by commas, or take one off."""
    new = [each for each in add.replace("，", ",").replace("、", ",").split(",") if each.strip()]
    if new or remove:
        try:
            request.app.state.services.members.care.tag(viewer.scope, member_id, new, [remove] if remove else [])
        except InvalidInput as error:
            return _refused(request, viewer, member_id, "tags", error, add)
    return _back(member_id, "tags" if new or remove else "")


@router.post("/desk/members/{member_id}/page")
def open_page(request: Request, viewer: Poster, member_id: UUID) -> Response:
    """Open a page with the member's card for their phone; its address is shown this once, as a code to scan."""
    services = request.app.state.services
    made = services.members.links.open(viewer.scope, member_id)
    address = str(request.base_url).rstrip("/") + made.path
    member = services.membership.member(viewer.scope, member_id)
    return draw(request, viewer, member=member, phone_page=PhonePage(address, pictures.qr_of(address)))


@router.post("/desk/members/{member_id}/page/close")
def close_page(request: Request, viewer: Poster, member_id: UUID, link: Annotated[UUID, Form()]) -> Response:
    """Close the member's page: from now on it shows nothing."""
    request.app.state.services.members.links.revoke(viewer.scope, member_id, link)
    return _back(member_id, "page-closed")


def _back(member_id: UUID, note: str) -> RedirectResponse:
    return RedirectResponse(f"/desk/members/{member_id}" + (f"?note={note}" if note else ""), status_code=303)


def _refused(
    request: Request, viewer: Viewer, member_id: UUID, where: str, error: InvalidInput, typed: str
) -> Response:
    member = request.app.state.services.membership.member(viewer.scope, member_id)
    trouble = Trouble(where, refusal(error, viewer.locale, ""), {where: typed})
    return draw(request, viewer, member=member, trouble=trouble, status=error.status)
