"""The member desk: find a member or enrol one, with the keyboard alone.

One field takes whatever the customer says. What is looked for travels in the body of a request, never in an address: a
phone number in an address would stand in histories and logs. A full number is shown only on request, and that is
audited.
"""

from datetime import date
from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.desk.form import EnrolForm
from dashboards.desk.offline import desk_data
from dashboards.desk.showing import Places, card, tier_name
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import MEMBER_READERS, Viewer, posting, viewer_with
from server.access.models import Locale
from server.errors import InvalidInput, NotFound
from server.membership.models import Member, MemberExists, MemberSummary, NewMember
from server.membership.offline.models import Enrolment
from server.membership.service import MembershipService
from server.membership.wording import WORDING, standard_consents
from server.stores.models import Store

router = page_router()

_RECENT: Final = 8
Reader = Annotated[Viewer, Depends(viewer_with(*MEMBER_READERS))]
Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]


@router.get("/desk")
def desk(request: Request, viewer: Reader) -> Response:
    """The empty desk."""
    return _page(request, viewer)


@router.post("/desk")
def find(request: Request, viewer: Poster, q: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Look for a member: one is opened, several are listed, none opens the enrol form."""
    members: MembershipService = request.app.state.services.membership
    text = q.strip()
    if not text:
        return _page(request, viewer, problem=N_("Enter a phone number, a card number or a name."))
    exact = members.find_exact(viewer.scope, text)
    if exact is not None:
        return _page(request, viewer, asked=text, member=exact)
    found = members.search(viewer.scope, text)
    if len(found) == 1:
        return RedirectResponse(f"/desk/members/{found[0].member_id}", status_code=303)
    if found:
        return _page(request, viewer, asked=text, found=found)
    return _page(request, viewer, asked=text, form=EnrolForm.for_nobody(text), not_found=True)


@router.get("/desk/members/{member_id}")
def member(request: Request, viewer: Reader, member_id: UUID, note: str = "") -> Response:
    """One member."""
    found = request.app.state.services.membership.member(viewer.scope, member_id)
    return _page(request, viewer, member=found, note=note)


@router.post("/desk/members/{member_id}/phone")
def reveal(request: Request, viewer: Poster, member_id: UUID) -> Response:
    """The member with the full number; the look is written down."""
    members = request.app.state.services.membership
    number = members.reveal_phone(viewer.scope, member_id)
    return _page(request, viewer, member=members.member(viewer.scope, member_id), revealed=number)


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
    return RedirectResponse(f"/desk/members/{member_id}?note=checked-in", status_code=303)


@router.post("/desk/members/{member_id}/notes")
def note(
    request: Request, viewer: Poster, member_id: UUID, text: Annotated[str, Form(max_length=4000)] = ""
) -> Response:
    """Write something down about the member, for colleagues of the store."""
    if text.strip():
        request.app.state.services.members.notes.write(viewer.scope, member_id, text)
    return RedirectResponse(f"/desk/members/{member_id}?note=noted", status_code=303)


@router.post("/desk/members/{member_id}/offers")
def offers(request: Request, viewer: Poster, member_id: UUID, granted: Annotated[bool, Form()]) -> Response:
    """The member agrees to offers, or no longer does."""
    consents = standard_consents(viewer.locale, marketing=granted)
    for consent in consents:
        if consent.purpose == "marketing":
            request.app.state.services.membership.record_consent(viewer.scope, member_id, consent)
    return RedirectResponse(f"/desk/members/{member_id}?note=offers", status_code=303)


@router.post("/desk/members")
def enrol(
    request: Request,
    viewer: Poster,
    name: Annotated[str, Form(max_length=200)] = "",
    phone: Annotated[str, Form(max_length=60)] = "",
    birthday: Annotated[str, Form(max_length=20)] = "",
    home_store: Annotated[str, Form(max_length=64)] = "",
    consent: Annotated[str, Form(max_length=5)] = "",
    marketing: Annotated[str, Form(max_length=5)] = "",
    item: Annotated[UUID | None, Form()] = None,
    corrects: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Enrol a member; a number that is known opens the member it belongs to."""
    form = EnrolForm(name.strip(), phone.strip(), birthday.strip(), home_store, bool(consent), bool(marketing))
    born = form.check()
    if form.problems:
        return _page(request, viewer, form=form, corrects=corrects, status=422)
    new = NewMember(
        name=form.name,
        phone=form.phone,
        home_store=form.home_store,
        consents=standard_consents(viewer.locale, marketing=form.marketing),
        birthday=born,
    )
    services = request.app.state.services
    try:
        made = services.membership.enrol(viewer.scope, new)
    except MemberExists as known:
        holder = services.membership.find_by_card(viewer.scope, known.card_no)
        return _page(request, viewer, member=holder, note="known", status=409)
    except (InvalidInput, NotFound) as error:
        form.refuse(error.field)
        return _page(request, viewer, form=form, corrects=corrects, status=422)
    if item is not None:
        services.offline_desk.note_done(viewer.scope, item, "enrolment", made.member_id)
    if corrects is not None:
        services.offline_desk.settle(viewer.scope, corrects, made.member_id)
    return RedirectResponse(f"/desk/members/{made.member_id}?note=enrolled", status_code=303)


@router.get("/desk/kept/{item_id}")
def put_right(request: Request, viewer: Reader, item_id: UUID) -> Response:
    """The form of an enrolment that was made without a network and refused, to be put right."""
    held = request.app.state.services.offline_desk.refused(viewer.scope, item_id)
    if not isinstance(held, Enrolment):
        raise NotFound("a check-in has no form")
    form = EnrolForm(held.name, held.phone, held.birthday, held.home_store, held.consent, held.marketing)
    form.check()
    return _page(request, viewer, form=form, corrects=item_id)


def _page(
    request: Request,
    viewer: Viewer,
    *,
    status: int = 200,
    asked: str = "",
    problem: str = "",
    found: list[MemberSummary] | None = None,
    not_found: bool = False,
    form: EnrolForm | None = None,
    corrects: UUID | None = None,
    member: Member | None = None,
    revealed: str = "",
    note: str = "",
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    stores: list[Store] = services.stores.stores(scope)
    places = Places(
        {store.store_id: store.name for store in stores}, {store.store_id: store.timezone for store in stores}
    )
    return renderer_of(request).page(
        request,
        "desk/desk.html",
        viewer,
        status=status,
        stores=stores,
        # Most addresses here answer to submitted forms only; a member has one of their own.
        address=f"/desk/members/{member.member_id}" if member and member.home_store in places.names else "/desk",
        home_stores=stores,
        asked=asked,
        problem=problem,
        found=[_line(each, places, viewer.locale) for each in found] if found else None,
        not_found=not_found,
        form=form,
        member=card(services, scope, member, places, viewer.locale) if member else None,
        revealed=revealed,
        note=note,
        wording=WORDING[viewer.locale],
        item=uuid4(),
        corrects=corrects,
        waiting=len(services.offline_desk.waiting(scope)),
        desk_data=desk_data(request, viewer),
        count=services.membership.count(scope),
        recent=[_line(each, places, viewer.locale) for each in services.membership.recent(scope, limit=_RECENT)],
        today=date.today().isoformat(),  # noqa: DTZ011  only the latest date the browser's picker offers
    )


def _line(summary: MemberSummary, places: Places, locale: Locale) -> dict[str, str]:
    return {
        "href": f"/desk/members/{summary.member_id}",
        "name": summary.name,
        "phone": summary.phone,
        "card": summary.card_no,
        "tier": tier_name(summary.tier, locale),
        "store": places.name(summary.home_store),
        "enrolled": Formats(locale).local_day(summary.enrolled_at, places.zone(summary.home_store)),
    }
