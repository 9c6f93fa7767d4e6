"""The sales side of the demo's past: members enrolled, purchases rung up, things brought back.

All of it goes through the services the tills and the desk use, with their clock turned back, so that a receipt of the
demo obeys every rule a real one does.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import numpy as np

from cli.demo import baskets, people
from cli.demo.chain import STORES, DemoStore
from cli.demo.day import Purchase
from cli.demo.story import Story, dice
from server.access.models import Scope
from server.membership.models import NewMember
from server.membership.service import MembershipService
from server.membership.wording import standard_consents
from server.sales.models import NewReceipt

#: Makes the membership service whose clock stands at a moment.
MembershipAt = Callable[[datetime], MembershipService]
_SCOPE: Final = Scope.system("demo")
_PROMOTION: Final = Decimal("0.15")


@dataclass(slots=True)
class Members:
    """Members of one store in order of enrolment."""

    since: list[datetime] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)

    def add(self, at: datetime, member_id: UUID) -> None:
        """Another one, enrolled after those before."""
        self.since.append(at)
        self.ids.append(member_id)

    def someone(self, rng: np.random.Generator, at: datetime) -> UUID | None:
        """A member at that time; a few come often, most seldom."""
        there = bisect_right(self.since, at)
        return None if there == 0 else self.ids[int(there * rng.random() ** 2.2)]


class Desk:
    """Enrols made-up people, each with a number of their own.

    Args:
        membership: gives the service as of a moment.
        enrolled: how many were made up before.
    """

    def __init__(self, membership: MembershipAt, enrolled: int = 0) -> None:
        self._membership = membership
        self._enrolled = enrolled

    def enrol(self, rng: np.random.Generator, store: DemoStore, at: datetime, *, source: str = "desk") -> UUID:
        """One more member of the store."""
        self._enrolled += 1
        new = NewMember(
            name=people.name(rng),
            phone=people.phone(self._enrolled),
            home_store=store.store_id,
            consents=standard_consents("zh", marketing=bool(rng.random() < 0.63)),
            birthday=people.birthday(rng, at.date()),
            source=source,
        )
        return self._membership(at).enrol(_SCOPE, new).member_id


def founding_members(desk: Desk, store: DemoStore, before: datetime, how_many: int) -> Members:
    """Those who were members before the history begins."""
    rng = dice(store, before.date(), "founders")
    members = Members()
    days = np.sort(rng.uniform(1, 420, how_many))[::-1]
    for number in days:
        at = (before - timedelta(days=float(number))).replace(microsecond=0)
        members.add(at, desk.enrol(rng, store, at, source="import"))
    return members


def receipts_of_day(
    story: Story,
    store: DemoStore,
    day: date,
    purchases: Sequence[Purchase],
    desk: Desk,
    members: Members,
    *,
    start: datetime,
    end: datetime,
) -> list[NewReceipt]:
    """Receipts of a day's purchases from `start` up to `end`, and the refunds they led to before `end`.

    Every purchase has dice of its own, so a day made in two pieces comes out as one made in one.
    """
    receipts: list[NewReceipt] = []
    off = _PROMOTION if day in story.promotion else Decimal(0)
    for purchase in sorted(purchases, key=lambda each: each.at):
        if not start <= purchase.at < end:
            continue
        rng = np.random.default_rng([STORES.index(store), day.toordinal(), purchase.number])
        member = None
        if rng.random() < store.member_share:
            member = members.someone(rng, purchase.at)
        elif rng.random() < 0.016:
            member = desk.enrol(rng, store, purchase.at - timedelta(seconds=75))
            members.add(purchase.at, member)
        number = f"{day:%y%m%d}-{purchase.number:04d}"
        made = baskets.sale(
            rng,
            store_id=store.store_id,
            receipt_no=number,
            at=purchase.at,
            discount=off,
            member=member,
            channel="pickup" if rng.random() < 0.03 else "till",
        )
        receipts.append(made)
        receipts.extend(_afterwards(rng, made, end))
    return receipts


def _afterwards(rng: np.random.Generator, made: NewReceipt, end: datetime) -> list[NewReceipt]:
    """What became of a sale: taken back at once, or something brought back days later; mostly nothing."""
    chance = rng.random()
    if chance < 0.003:
        at = made.at + timedelta(seconds=50)
        void = NewReceipt(
            store_id=made.store_id, receipt_no=f"{made.receipt_no}V", at=at, kind="void", refers_to=made.receipt_no
        )
        return [void] if at < end else []
    if chance > 0.025:
        return []
    at = made.at.astimezone(UTC) + timedelta(days=int(rng.integers(1, 10)), minutes=int(rng.integers(-60, 60)))
    if at >= end:
        return []
    kept = [line for line in made.lines if rng.random() < 0.7] or list(made.lines)
    return [baskets.refund(made, receipt_no=f"{made.receipt_no}R", at=at, lines=kept)]
