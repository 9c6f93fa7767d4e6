"""The desk's one page, whatever brought somebody to it: a search, a member, a form, something to confirm or done.

Every route of the desk ends here, so a member looks the same after a top-up as after a search.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import Request, Response

from dashboards.desk.form import CorrectForm, EnrolForm, enrol_form, is_phone
from dashboards.desk.offline import desk_data
from dashboards.desk.showing import Places, card
from dashboards.formats import Formats
from dashboards.pages import renderer_of
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.membership.models import Member, MemberSummary
from server.membership.pictures import QrCode
from server.services import Services
from server.stores.models import Store

_RECENT: Final = 8


@dataclass(frozen=True, slots=True)
class Confirm:
    """Something that spends, before it does: what, and what the form carries that does it.

    Attributes:
        rows: what is going to happen, as label and value.
    """

    title: str
    rows: list[tuple[str, str]]
    action: str
    fields: dict[str, str]
    button: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was refused, and beside which form.

    Attributes:
        typed: what stood in it, the field that is read first before the others.
        field: which of them was refused; empty where it is none of them, or of all together.
    """

    where: str
    text: str
    typed: dict[str, str] = field(default_factory=dict)
    field: str = ""

    @property
    def focus(self) -> str:
        """The field to go on from."""
        return self.field or next(iter(self.typed), "")


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, to be told."""

    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class PhonePage:
    """The page of a member's card for their phone, just opened: its address is shown this once."""

    address: str
    code: QrCode


_NOTHING: Final = Trouble("", "")


def draw(
    request: Request,
    viewer: Viewer,
    *,
    status: int = 200,
    asked: str = "",
    problem: str = "",
    found: list[MemberSummary] | None = None,
    not_found: bool = False,
    form: EnrolForm | None = None,
    holder: Member | None = None,
    corrects: UUID | None = None,
    member: Member | None = None,
    revealed: str = "",
    note: str = "",
    confirm: Confirm | None = None,
    trouble: Trouble = _NOTHING,
    done: Done | None = None,
    phone_page: PhonePage | None = None,
) -> Response:
    """The desk.

    Args:
        holder: who has the number that stands in the form.
    """
    services: Services = request.app.state.services
    scope = viewer.scope
    stores: list[Store] = services.stores.stores(scope)
    places = Places.of(services, scope, stores, viewer.locale)
    shown = card(services, scope, member, places, stores, viewer.locale) if member else None
    return renderer_of(request).page(
        request,
        "desk/desk.html",
        viewer,
        status=status,
        stores=stores,
        # Most addresses here answer to submitted forms only; a member has one of their own.
        address=_address(shown, form),
        home_stores=stores,
        asked=asked,
        problem=problem,
        found=[_line(each, places, viewer.locale) for each in found] if found else None,
        not_found=not_found,
        member=shown,
        revealed=revealed,
        note=note,
        confirm=confirm,
        trouble=trouble,
        adrift=bool(trouble.where) and shown is not None and trouble.where not in _forms(shown),
        done=done,
        phone_page=phone_page,
        **(enrol_form(services, viewer, form, holder) if form else {"form": None}),
        holder=_holder(holder, places, viewer.locale) if holder else None,
        # By the whole number alone it may be said to be another person's; by the card they show, it is they.
        may_move=member is not None and is_phone(asked) and asked != member.card_no,
        # A form's own number: sent twice, it is done once.
        fresh=uuid4,
        corrects=corrects,
        waiting=len(services.offline_desk.waiting(scope)),
        desk_data=desk_data(request, viewer),
        recent=[_line(each, places, viewer.locale) for each in services.membership.recent(scope, limit=_RECENT)],
    )


def _address(shown: dict[str, Any] | None, form: EnrolForm | None) -> str:
    """Where the page can be asked for again, as in another language."""
    if isinstance(form, CorrectForm):
        return f"/desk/members/{form.member_id}/correction"
    return f"/desk/members/{shown['id']}" if shown and shown["own"] else "/desk"


def _holder(member: Member, places: Places, locale: Locale) -> dict[str, str]:
    """Whoever has a number, as far as any desk that was told the whole number may see them."""
    return {
        "name": member.name,
        "phone": member.phone,
        "card": member.card_no,
        "tier": places.tier(member.tier, locale),
        "store": places.name(member.home_store),
    }


def _forms(shown: dict[str, Any]) -> set[str]:
    """The forms a member's card has; what is refused of another, as of a coupon that is used up, stands above it."""
    has = shown["holdings"]
    forms = {each["where"] for each in shown["redeemed"]} | ({"note", "advisor", "tags"} if shown["own"] else set())
    if has is None:
        return forms
    if has["points"] and has["points"]["may_redeem"]:
        forms.add("points")
    forms |= {f"coupon-{each['id']}" for each in has["coupons"] if each["code"]}
    for each in has["cards"]:
        if not each["state"]:
            forms |= {f"top-up-{each['id']}"} | ({f"pay-{each['id']}"} if each["has_money"] else set())
    return forms if has["cards"] else forms | {"value"}


def _line(summary: MemberSummary, places: Places, locale: Locale) -> dict[str, str]:
    return {
        "href": f"/desk/members/{summary.member_id}",
        "name": summary.name,
        "phone": summary.phone,
        "card": summary.card_no,
        "tier": places.tier(summary.tier, locale),
        "store": places.name(summary.home_store),
        "enrolled": Formats(locale).local_day(summary.enrolled_at, places.zone(summary.home_store)),
    }
