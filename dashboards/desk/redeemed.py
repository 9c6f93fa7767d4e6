"""What of a member's was redeemed in the reader's stores today, as the desk's card lists it.

Of sister shops nothing is shown, and nothing of yesterday: what is older than the shop's own day is in the books of a
day that was closed. A store's day is its own, so each of the reader's stores has its own since when.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from dashboards.desk.holdings import title_of
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale, Scope
from server.membership.coupons.models import Definition, Redemption
from server.membership.models import Member
from server.membership.points.models import Entry
from server.membership.points.service import SPENDERS
from server.services import Services
from server.stores.models import Store

#: What is shown of a day; a member with more is a test.
_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Today:
    """The reader's stores, and since when it is today in each of them."""

    names: dict[str, str]
    zones: dict[str, str]
    since: dict[str, datetime]

    @classmethod
    def of(cls, services: Services, scope: Scope, stores: list[Store]) -> "Today":
        """These stores' day."""
        now = services.clock()
        calendars = services.stores.calendars(scope, [store.store_id for store in stores])
        since = {store_id: each.bounds(each.day_of(now))[0] for store_id, each in calendars.items()}
        return cls(
            {store.store_id: store.name for store in stores},
            {store.store_id: store.timezone for store in stores},
            since,
        )

    def is_today(self, store_id: str | None, at: datetime) -> bool:
        """Whether something was done in one of these stores today."""
        since = self.since.get(store_id or "")
        return since is not None and at >= since


def redeemed_today(
    services: Services, scope: Scope, member: Member, stores: list[Store], locale: Locale
) -> list[dict[str, Any]]:
    """What of a member's was redeemed in the reader's stores today and stands, latest first."""
    today = Today.of(services, scope, stores)
    if not today.since:
        return []
    points, coupons = standing(services, scope, member, today)
    kinds = _kinds(services, scope, member) if coupons else {}
    fmt, gettext = Formats(locale), translations(locale).gettext
    found: list[tuple[Entry | Redemption, str, str, str]] = [
        (
            each,
            f"points-{each.entry_id}",
            "/desk/take-back/points",
            gettext(N_("%(points)s points")) % {"points": fmt.number(-each.points)},
        )
        for each in points
    ]
    found += [
        (
            each,
            f"redemption-{each.redemption_id}",
            "/desk/take-back/coupons",
            f"{title_of(kinds[each.coupon_id], locale)} · {fmt.money(each.discount, each.currency, 2)}",
        )
        for each in coupons
    ]
    found.sort(key=lambda each: each[0].at, reverse=True)
    return [
        {
            "where": where,
            "number": where.rpartition("-")[2],
            "action": action,
            "what": what,
            "at": fmt.clock(each.at, today.zones[each.store_id or ""]),
            "store_id": each.store_id,
            "store": today.names[each.store_id or ""] if len(stores) > 1 else "",
            "receipt": each.receipt_no or "",
            "by": each.actor,
        }
        for each, where, action, what in found[:_MOST]
    ]


def standing(services: Services, scope: Scope, member: Member, today: Today) -> tuple[list[Entry], list[Redemption]]:
    """What of a member's points and coupons was redeemed today and stands, latest first."""
    since = min(today.since.values())
    points = services.points.redeemed(scope, member.member_id, since) if scope.has_role(*SPENDERS) else []
    coupons = services.coupon_redemptions.of_member(scope, member.member_id, since)
    return (
        [each for each in points if today.is_today(each.store_id, each.at)],
        [each for each in coupons if today.is_today(each.store_id, each.at)],
    )


def _kinds(services: Services, scope: Scope, member: Member) -> dict[UUID, Definition]:
    """What each of a member's coupons promises."""
    promised = {each.definition_id: each for each in services.coupon_definitions.definitions(scope, ended=True)}
    held = services.coupons.of_member(scope, member.member_id, only_open=False, member_card=member.card_no)
    return {each.coupon_id: promised[each.definition_id] for each in held}
