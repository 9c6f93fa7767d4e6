"""What is kept of a member put right at the desk, and a number that changed hands, by a code that is sent to it.

The right to correction is exercised where the member stands. Numbers are given to other people months after somebody
gave them up: the person here must get in with theirs, and nobody may take a number because they can recite it. So
who has it is shown, and only the code that was sent there moves it. Wherever it is refused, what was typed stands.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.desk.drawing import draw
from dashboards.desk.form import TAKEN, CorrectForm, EnrolForm, entered
from dashboards.desk.holdings import Counter
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import MEMBER_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, TooManyRequests, Unavailable
from server.membership.changing import Change
from server.membership.models import Member, MemberExists
from server.services import Services

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*MEMBER_READERS))]
Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]
Entered = Annotated[EnrolForm, Depends(entered)]


@router.post("/desk/members/code")
def send_code(
    request: Request, viewer: Poster, form: Entered, corrects: Annotated[UUID | None, Form()] = None
) -> Response:
    """Send a code to the number of somebody who is being enrolled; the form comes back with a field for it."""
    form.check()
    form.answers(_services(request).members.form.fields(viewer.scope), viewer.locale)
    status = 422 if form.problems else _send(request, viewer, form, form.home_store)
    return draw(request, viewer, form=form, corrects=corrects, status=status)


@router.get("/desk/members/{member_id}/correction")
def open_correction(request: Request, viewer: Reader, member_id: UUID) -> Response:
    """The form with what is kept of a member."""
    found = _services(request).membership.member(viewer.scope, member_id)
    return draw(request, viewer, form=CorrectForm.of(found))


@router.post("/desk/members/{member_id}/correction")
def correct(request: Request, viewer: Poster, member_id: UUID, typed: Entered) -> Response:
    """Put right what was typed otherwise than it is kept; what is wrong with it is said beside its field."""
    services = _services(request)
    form = _correction(services.membership.member(viewer.scope, member_id), typed)
    born = form.check()
    custom = form.answers(services.members.form.fields(viewer.scope), viewer.locale)
    if form.problems:
        return draw(request, viewer, form=form, status=422)
    wanted = Change(
        name=form.name,
        phone=form.phone or None,
        proof=form.proof if form.phone else None,
        birthday=born,
        forget_birthday=born is None,
        custom=custom,
    )
    try:
        services.members.changes.change(viewer.scope, member_id, wanted)
    except MemberExists as known:
        form.problems["phone"] = TAKEN
        holder = services.membership.find_by_card(viewer.scope, known.card_no)
        return draw(request, viewer, form=form, holder=holder, status=known.status)
    except InvalidInput as error:
        form.refuse(error.field)
        return draw(request, viewer, form=form, status=error.status)
    return RedirectResponse(f"/desk/members/{member_id}?note=corrected", status_code=303)


@router.post("/desk/members/{member_id}/correction/code")
def send_correction_code(request: Request, viewer: Poster, member_id: UUID, typed: Entered) -> Response:
    """Send a code to the number that is to be the member's; the form comes back with a field for it."""
    services = _services(request)
    member = services.membership.member(viewer.scope, member_id)
    form = _correction(member, typed)
    form.check()
    form.answers(services.members.form.fields(viewer.scope), viewer.locale)
    if not form.phone:
        form.refuse("phone")
    counter = Counter.of(member, services.stores.stores(viewer.scope))
    status = 422 if form.problems else _send(request, viewer, form, counter.store_id if counter else "")
    return draw(request, viewer, form=form, status=status)


def _correction(member: Member, typed: EnrolForm) -> CorrectForm:
    """The form of a member with what was typed into it."""
    form = CorrectForm.of(member)
    form.name, form.phone, form.birthday, form.custom = typed.name, typed.phone, typed.birthday, typed.custom
    form.moves, form.code_id, form.code, form.sent_to = typed.moves, typed.code_id, typed.code, typed.sent_to
    return form


def _send(request: Request, viewer: Viewer, form: EnrolForm, store_id: str) -> int:
    """Send a code to the number of the form; the status of the page that follows.

    Raises:
        Forbidden: the store is not the viewer's.
    """
    try:
        sent = _services(request).members.codes.request(viewer.scope, form.phone, store_id)
    except InvalidInput as error:
        form.refuse(error.field)
        return error.status
    except (TooManyRequests, Unavailable) as error:
        form.problems["code" if form.code_id else "phone"] = _later(error, viewer)
        # Not 503 for a carrier that is away: the desk's worker would take the whole server to be.
        return TooManyRequests.status
    form.code_id, form.sent_to, form.code = sent.code_id, sent.phone, ""
    return 200


def _later(error: TooManyRequests | Unavailable, viewer: Viewer) -> str:
    """Why no code goes out now, and when one may."""
    gettext = translations(viewer.locale).gettext
    if isinstance(error, Unavailable):
        return gettext(N_("The code could not be sent. Try again in a minute."))
    wait = Formats(viewer.locale).number(error.retry_after)
    words = N_("Codes were sent to this number already. Another one can go out in %(seconds)s seconds.")
    return gettext(words) % {"seconds": wait}


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services
