"""What a person may ask for: all that is kept of them in a file, and its erasure, with the receipt that proves it.

An erasure can't be undone, so it is told first whom it takes, by name and card, and what stays; and it is done only for
those who were told, lest somebody who was merged meanwhile go with them unseen.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.members.person import Person, draw_person
from dashboards.members.tabs import member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput
from server.membership.crypto import WrongKey
from server.membership.models import Member
from server.membership.readable import pdf_of
from server.services import Services

router = page_router()

_WHY: Final = N_("Say why, in at most 200 letters.")
#: Names of the parts of a receipt of erasure, by package and what is told.
_PARTS: Final = {
    "membership": N_("Member"),
    "points": N_("Points"),
    "coupons": N_("Coupons"),
    "stored_value": N_("Stored value"),
    "tiers": N_("Tiers"),
    "visits": N_("Visits"),
    "value": N_("Customer value"),
    "offline_desk": N_("Kept on a tablet"),
    "sales": N_("Sales"),
}
_WHAT: Final = {
    "members": N_("names, numbers and birthdays"),
    "hashes": N_("what they were found by"),
    "old numbers": N_("numbers of before"),
    "notes": N_("notes"),
    "attachments": N_("files"),
    "tags": N_("tags"),
    "advisors": N_("advisors"),
    "card pages": N_("pages of the card"),
    "looked alike": N_("that they looked alike"),
    "card numbers": N_("numbers of cards"),
    "codes": N_("codes of coupons"),
    "reasons": N_("reasons that were written"),
    "requests": N_("requests"),
    "value": N_("grades of every night"),
    "standings": N_("standings"),
    "entries": N_("entries"),
    "consents": N_("what was agreed, and when"),
    "receipts": N_("receipts"),
    "audit trail": N_("who did what"),
    "postings": N_("postings"),
    "coupons": N_("coupons"),
    "changes": N_("changes of tier"),
    "check_ins": N_("visits"),
    "costs": N_("costs to serve"),
}
#: Why what stays does, by the same names.
_KEPT: Final = {
    "consents": N_("Proof that keeping it was lawful (PIPL 55, GDPR 7)."),
    "audit trail": N_("Proof towards the authority."),
    "receipts": N_("Books that the law has kept; they point at a member without a name."),
    "postings": N_("Books that the law has kept; they name the member by number alone."),
    "entries": N_("Books that the law has kept; they name the member by number alone."),
    "coupons": N_("What was promised and used is counted."),
    "changes": N_("Counts by tier that were reported must not change."),
    "check_ins": N_("Counts of visits that were reported must not change."),
    "costs": N_("Amounts that were spent are in the books."),
}
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*STORE_READERS))]


@router.post("/members/people/{member_id}/export")
def export(
    request: Request, viewer: Poster, member_id: UUID, kind: Annotated[str, Sent(max_length=4)] = "pdf"
) -> Response:
    """Everything that is kept of a member, as a file; it is in the audit trail."""
    services: Services = request.app.state.services
    made = services.members.exports.export(viewer.scope, member_id)
    if kind == "json":
        content, media, ending = made.as_json(), "application/json", "json"
    else:
        content, media, ending = pdf_of(made, viewer.locale), "application/pdf", "pdf"
    headers = {
        "Content-Disposition": f'attachment; filename="member-{made.member_id}.{ending}"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=media, headers=headers)


@router.post("/members/people/{member_id}/erase")
def erase(
    request: Request,
    viewer: Poster,
    member_id: UUID,
    why: Annotated[str, Sent(max_length=500)] = "",
    sure: Annotated[str, Sent(max_length=40)] = "",
) -> Response:
    """Erase a member: first who and what, then, confirmed, it is done and the receipt shown."""
    services: Services = request.app.state.services
    member = services.membership.member(viewer.scope, member_id)
    viewer.scope.require(member.home_store)
    form = Form({"why": why})
    if not 1 <= len(form.text("why")) <= 200:
        form.problems["why"] = _WHY
        return draw_person(request, viewer, member, Person(form=form), status=422)
    if sure == told_of(member):
        try:
            receipt = services.members.erasures.erase(viewer.scope, member.member_id, why)
        except InvalidInput:
            form.problems["why"] = _WHY
            return draw_person(request, viewer, member, Person(form=form), status=422)
        except Conflict:
            # What is in the way now is told as it is before asking.
            return draw_person(request, viewer, member, _asked(services, viewer, member, form), status=409)
        return RedirectResponse(f"/members/erasures/{receipt.erasure_id}", status_code=303)
    return draw_person(request, viewer, member, _asked(services, viewer, member, form))


@router.get("/members/erasures/{erasure_id}")
def erasure(request: Request, viewer: Reader, erasure_id: UUID) -> Response:
    """The signed receipt of an erasure, held against what is in the database now."""
    services: Services = request.app.state.services
    receipt = services.members.erasures.receipt(viewer.scope, erasure_id)
    try:
        proof = services.members.erasures.prove(viewer.scope, erasure_id)
    except WrongKey:
        proof = None
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(viewer.scope)
    zone = zone_of(stores).key

    def named(words: Mapping[str, str], name: str) -> str:
        return gettext(words[name]) if name in words else name

    def line(part: str, what: str, told: str) -> dict[str, str]:
        rows, _, why = told.partition(": ")
        if not rows.isdecimal():
            rows, why = "", told
        return {
            "part": named(_PARTS, part),
            "what": named(_WHAT, what),
            "rows": fmt.number(int(rows)) if rows else NOTHING,
            "why": gettext(_KEPT[what]) if what in _KEPT else why,
        }

    return renderer_of(request).page(
        request,
        "members/erasure.html",
        viewer,
        stores=stores,
        tabs=member_tabs(viewer, "/members/people"),
        receipt={
            "id": str(receipt.erasure_id),
            "by": receipt.erased_by,
            "at": f"{fmt.local_day(receipt.erased_at, zone)} {fmt.clock(receipt.erased_at, zone)}",
            "why": receipt.reason,
            "members": [str(each) for each in receipt.members],
            "signature": receipt.signature,
            "removed": [
                line(part, what, str(rows)) for part, gone in receipt.removed.items() for what, rows in gone.items()
            ],
            "kept": [line(part, what, told) for part, kept in receipt.kept.items() for what, told in kept.items()],
        },
        proof=proof,
        left=[
            line(part, what, str(rows))
            for part, found in (proof.left if proof else {}).items()
            for what, rows in found.items()
        ],
    )


def told_of(member: Member) -> str:
    """Whom the page told of: the card, and all who were merged into it, as one word a form sends back."""
    told = " ".join([member.card_no, *sorted(map(str, member.merged))])
    return sha256(told.encode()).hexdigest()[:32]


def _asked(services: Services, viewer: Viewer, member: Member, form: Form) -> Person:
    fmt = Formats(viewer.locale)
    held: list[dict[str, Any]] = []
    if services.members.erasures.holds(viewer.scope, member.member_id):
        # The services say what is in the way in English; what it is about is the principal of these cards.
        held = [
            {"no": (each.card_no or NOTHING)[-4:], "principal": fmt.money(each.principal, each.currency, 2)}
            for each in services.stored_value.of_member(viewer.scope, member.member_id)
            if each.principal
        ] or [{"no": NOTHING, "principal": NOTHING}]
    return Person(form=form, erasing={"held": held, "told": told_of(member)})
