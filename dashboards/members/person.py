"""Draws the page of one member for whoever answers for a store, with whatever is asked or was refused on it."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from dashboards.desk.showing import Places
from dashboards.entry.forms import Form
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.members.tabs import member_tabs
from dashboards.pages import renderer_of
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.errors import NotFound
from server.membership.models import Member, MemberSummary
from server.services import Services


@dataclass(frozen=True, slots=True)
class Person:
    """What the page has beside the member.

    Attributes:
        note: what was done just now.
        form: what was typed and refused.
        merging: two members and what is theirs together, to be confirmed.
        erasing: what an erasure takes and leaves, to be confirmed.
    """

    note: str = ""
    form: Form = field(default_factory=Form)
    merging: dict[str, dict[str, str]] | None = None
    erasing: dict[str, Any] | None = None


def draw_person(request: Request, viewer: Viewer, member: Member, more: Person, *, status: int = 200) -> Response:
    """The page of one member of whom the viewer may know."""
    services: Services = request.app.state.services
    scope, fmt = viewer.scope, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    places = Places.of(services, scope, stores, viewer.locale)
    zone = places.zone(member.home_store)
    merging = services.members.merging
    return renderer_of(request).page(
        request,
        "members/person.html",
        viewer,
        status=status,
        stores=stores,
        address=f"/members/people/{member.member_id}",
        tabs=member_tabs(viewer, "/members/people"),
        note=more.note,
        form=more.form,
        merging=more.merging,
        erasing=more.erasing,
        is_ours=scope.allows(member.home_store),
        member=standing(services, viewer, member),
        merged=len(member.merged),
        twins=[place_of(each, places, viewer.locale) for each in merging.twins_of(scope, member.member_id)],
        merges=[
            {
                "id": each.merge_id,
                "who": _name_of(services, viewer, each.gone),
                "into": _name_of(services, viewer, each.kept),
                "why": each.reason,
                "by": each.merged_by,
                "at": fmt.local_day(each.merged_at, zone),
                "undone_by": each.undone_by or "",
                "undone_at": fmt.local_day(each.undone_at, zone) if each.undone_at else "",
            }
            for each in merging.merges(scope, member.member_id)
        ],
        advisors=[
            {
                "name": each.advisor,
                "from": fmt.local_day(each.from_at, zone),
                "until": fmt.local_day(each.until_at, zone) if each.until_at else "",
                "by": each.assigned_by,
                "why": each.reason,
            }
            for each in services.members.care.care(scope, member.member_id).advisors
        ],
    )


def standing(services: Services, viewer: Viewer, told: Member, *of: Member) -> dict[str, str]:
    """What is known of a member and what they have.

    Args:
        told: whose name, store and tier it is.
        of: whose balances are summed; the member's own where nobody is named.
    """
    scope, fmt = viewer.scope, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    places = Places.of(services, scope, stores, viewer.locale)
    points, coupons, visits = 0, 0, 0
    value: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in of or (told,):
        points += services.points.balance(scope, each.member_id).balance
        coupons += len(services.coupons.of_member(scope, each.member_id))
        visits += each.purchases.visits
        for card in services.stored_value.of_member(scope, each.member_id):
            value[card.currency][0] += card.principal
            value[card.currency][1] += card.bonus
        for spending in each.purchases.spending:
            spent[spending.currency] += spending.net
    gettext = translations(viewer.locale).gettext
    words = gettext(N_("%(principal)s principal, %(bonus)s bonus"))
    return {
        "id": str(told.member_id),
        "name": told.name,
        "phone": told.phone,
        "card": told.card_no,
        "birthday": fmt.plain_day(told.birthday) if told.birthday else NOTHING,
        "store": places.name(told.home_store),
        "enrolled": fmt.local_day(told.enrolled_at, places.zone(told.home_store)),
        "tier": places.tier(told.tier, viewer.locale),
        "advisor": told.advisor or NOTHING,
        "points": fmt.number(points),
        "coupons": fmt.number(coupons),
        "value": "; ".join(
            words % {"principal": fmt.money(own, currency, 2), "bonus": fmt.money(given, currency, 2)}
            for currency, (own, given) in sorted(value.items())
        )
        or NOTHING,
        "visits": fmt.number(visits),
        "spent": " + ".join(fmt.money(net, currency) for currency, net in sorted(spent.items())) or NOTHING,
    }


def place_of(summary: MemberSummary, places: Places, locale: Locale) -> dict[str, Any]:
    """A member in a list."""
    return {
        "id": str(summary.member_id),
        "href": f"/members/people/{summary.member_id}",
        "name": summary.name,
        "phone": summary.phone,
        "card": summary.card_no,
        "tier": places.tier(summary.tier, locale),
        "store": places.name(summary.home_store),
        "enrolled": Formats(locale).local_day(summary.enrolled_at, places.zone(summary.home_store)),
    }


def _name_of(services: Services, viewer: Viewer, member_id: UUID) -> str:
    """A name and the end of an id: of who was merged the name that is found is that of who was kept."""
    try:
        return f"{services.membership.member(viewer.scope, member_id).name} · {str(member_id)[-6:]}"
    except NotFound:
        return str(member_id)[-6:]
