"""The member desk: find a member or enrol one, with the keyboard alone.

One field takes whatever the customer says. What is looked for travels in the body of a request, never in an address: a
phone number in an address would stand in histories and logs. A full number is shown only on request, and that is
audited.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.desk.drawing import draw
from dashboards.desk.form import TAKEN, EnrolForm, entered, is_phone
from dashboards.i18n import N_
from dashboards.pages import page_router
from dashboards.viewer import MEMBER_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, NotFound
from server.membership import wording
from server.membership.models import MemberExists, NewMember
from server.membership.offline.models import Enrolment
from server.membership.service import MembershipService
from server.services import Services

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*MEMBER_READERS))]
Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]


@router.get("/desk")
def desk(request: Request, viewer: Reader) -> Response:
    """The empty desk."""
    return draw(request, viewer)


@router.post("/desk")
def find(
    request: Request,
    viewer: Poster,
    q: Annotated[str, Form(max_length=200)] = "",
    moves: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Look for a member: one is opened, several are listed, none opens the enrol form.

    So does a number that is a member's, once the desk says that it is somebody else's now.
    """
    members: MembershipService = request.app.state.services.membership
    text = q.strip()
    if not text:
        return draw(request, viewer, problem=N_("Enter a phone number, a card number or a name."))
    if moves and is_phone(text):
        return draw(request, viewer, asked=text, form=EnrolForm(phone=text, moves=True))
    exact = members.find_exact(viewer.scope, text)
    if exact is not None:
        return draw(request, viewer, asked=text, member=exact)
    found = members.search(viewer.scope, text)
    if len(found) == 1:
        return RedirectResponse(f"/desk/members/{found[0].member_id}", status_code=303)
    if found:
        return draw(request, viewer, asked=text, found=found)
    return draw(request, viewer, asked=text, form=EnrolForm.for_nobody(text), not_found=True)


@router.get("/desk/members/{member_id}")
def member(request: Request, viewer: Reader, member_id: UUID, note: str = "") -> Response:
    """One member."""
    found = request.app.state.services.membership.member(viewer.scope, member_id)
    return draw(request, viewer, member=found, note=note)


@router.post("/desk/members/{member_id}/phone")
def reveal(request: Request, viewer: Poster, member_id: UUID) -> Response:
    """The member with the full number; the look is written down."""
    members = request.app.state.services.membership
    number = members.reveal_phone(viewer.scope, member_id)
    return draw(request, viewer, member=members.member(viewer.scope, member_id), revealed=number)


@router.post("/desk/members")
def enrol(
    request: Request,
    viewer: Poster,
    form: Annotated[EnrolForm, Depends(entered)],
    item: Annotated[UUID | None, Form()] = None,
    corrects: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Enrol a member; of a number that is known, whose it is, and a code to be sent to it where it changed hands."""
    services: Services = request.app.state.services
    born = form.check()
    custom = form.answers(services.members.form.fields(viewer.scope), viewer.locale)
    if form.problems:
        return draw(request, viewer, form=form, corrects=corrects, status=422)
    words = services.members.consents.shown_as(viewer.scope, viewer.locale, form.versions)
    new = NewMember(
        name=form.name,
        phone=form.phone,
        home_store=form.home_store,
        consents=wording.answers(words, marketing=form.marketing),
        birthday=born,
        custom=custom,
        proof=form.proof,
    )
    try:
        made = services.membership.enrol(viewer.scope, new)
    except MemberExists as known:
        form.problems["phone"] = TAKEN
        holder = services.membership.find_by_card(viewer.scope, known.card_no)
        return draw(request, viewer, form=form, holder=holder, corrects=corrects, status=known.status)
    except (InvalidInput, NotFound) as error:
        form.refuse(error.field)
        return draw(request, viewer, form=form, corrects=corrects, status=422)
    if item is not None:
        services.offline_desk.note_done(viewer.scope, item, "enrolment", made.member_id)
    if corrects is not None:
        services.offline_desk.settle(viewer.scope, corrects, made.member_id)
    note = "enrolled" if form.proof is None else "moved"
    return RedirectResponse(f"/desk/members/{made.member_id}?note={note}", status_code=303)


@router.get("/desk/kept/{item_id}")
def put_right(request: Request, viewer: Reader, item_id: UUID) -> Response:
    """The form of an enrolment that was made without a network and refused, to be put right."""
    services: Services = request.app.state.services
    held = services.offline_desk.refused(viewer.scope, item_id)
    if not isinstance(held, Enrolment):
        raise NotFound("a check-in has no form")
    form = EnrolForm(
        held.name,
        held.phone,
        held.birthday,
        held.home_store,
        held.consent,
        held.marketing,
        held.custom,
        held.versions,
    )
    form.check()
    form.answers(services.members.form.fields(viewer.scope), viewer.locale)
    return draw(request, viewer, form=form, corrects=item_id)
