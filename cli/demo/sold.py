"""The sales side of the demo's past: members enrolled, purchases rung up, things brought back. Pure but for enrolment.

Members go through the service the desk uses, with its clock turned back, for nothing else may write what is encrypted.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import numpy as np

from cli.demo import baskets, people
from cli.demo.chain import DemoStore
from cli.demo.day import Purchase
from cli.demo.promised import SCOPE, advisor_of
from cli.demo.story import Story, dice
from server.membership.models import NewMember
from server.membership.service import MembershipService
from server.membership.wording import standard_consents
from server.sales.models import ReceiptRow

#: Makes the membership service whose clock stands at a moment.
MembershipAt = Callable[[datetime], MembershipService]
_PROMOTION_PERCENT: Final = 15
#: Share of buyers, members aside, who enrol at the till.
_ENROLS: Final = 0.013
#: Share of members who buy and checked in before; for each of all who buy so many checked in and bought nothing.
_TOLD: Final = 0.7
_LOOKS: Final = 0.45
_CHECK_INS: Final = UUID("5a4cf2c2-3f0e-4a3b-8a9c-1f6b8f2d7e10")


#: How often a member comes at the least, and those first ones do whom a demo shows; others by chance, one on average.
_SELDOM: Final = 0.2
_OFTENEST: Final = 4.5
_REGULAR: Final = 3.0
_REGULARS: Final = 14
_EVERY_ID: Final = float(2**128)


@dataclass(slots=True)
class Members:
    """Members of one store in order of enrolment, each with a rhythm of their own.

    The rhythm follows from the member's id, so that who comes every few days still does so after the next fill.
    """

    since: list[datetime] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    _running: list[float] = field(default_factory=list)

    def add(self, at: datetime, member_id: UUID) -> None:
        """Another one, enrolled after those before."""
        often = min(_OFTENEST, _SELDOM - math.log((member_id.int + 0.5) / _EVERY_ID))
        if len(self.ids) < _REGULARS:
            often = _REGULAR
        self.since.append(at)
        self.ids.append(member_id)
        self._running.append(often + (self._running[-1] if self._running else 0.0))

    def someone(self, die: float, at: datetime) -> UUID | None:
        """A member at that time: some come every few days, half of them twice a month or less.

        Args:
            die: a number from 0 to 1, 1 left out.
        """
        there = bisect_right(self.since, at)
        if there == 0:
            return None
        return self.ids[min(there - 1, bisect_right(self._running, die * self._running[there - 1], 0, there))]


class Desk:
    """Enrols made-up people, each with a number of their own.

    Args:
        membership: gives the service as of a moment.
        enrolled: how many numbers were dealt before.
    """

    def __init__(self, membership: MembershipAt, enrolled: int = 0) -> None:
        self._membership = membership
        self._enrolled = enrolled

    def enrol(self, rng: np.random.Generator, store: DemoStore, at: datetime, *, source: str = "desk") -> UUID:
        """One more member of the store."""
        self._enrolled += 1
        advisor = advisor_of(store, rng)
        new = NewMember(
            name=people.name(rng),
            phone=people.phone(self._enrolled),
            home_store=store.store_id,
            consents=standard_consents("zh", marketing=bool(rng.random() < 0.63)),
            birthday=people.birthday(rng, at.date()),
            source=source,
            staff=advisor,
            advisor=advisor,
        )
        return self._membership(at).enrol(SCOPE, new).member_id


def founding_members(desk: Desk, store: DemoStore, before: datetime, how_many: int) -> Members:
    """Those who were members before the history begins."""
    rng = dice(store, before.date(), "founders")
    members = Members()
    for days in np.sort(rng.uniform(1, 420, how_many))[::-1].tolist():
        at = (before - timedelta(days=days)).replace(microsecond=0)
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
) -> list[ReceiptRow]:
    """Receipts of a day's purchases from `start` up to `end`, and what they led to before `end`.

    Every purchase has dice of its own, so a day made in two pieces comes out as one made in one.
    """
    rng = dice(store, day, "sales")
    dealt: list[list[float]] = rng.random((len(purchases), baskets.DICE)).tolist()
    receipts: list[ReceiptRow] = []
    for purchase, own in sorted(zip(purchases, dealt, strict=True), key=lambda each: each[0].at):
        if not start <= purchase.at < end:
            continue
        member = None
        if own[-1] < store.member_share:
            member = members.someone(own[-2], purchase.at)
        elif own[-2] < _ENROLS:
            member = desk.enrol(rng, store, purchase.at - timedelta(seconds=75))
            members.add(purchase.at, member)
        made = baskets.sale(
            own,
            store_id=store.store_id,
            receipt_no=f"{day:%y%m%d}-{purchase.number:04d}",
            at=purchase.at,
            percent_off=_PROMOTION_PERCENT if day in story.promotion else 0,
            member=member,
            channel="pickup" if own[-3] < 0.03 else "till",
        )
        receipts += [made, *(later for later in _afterwards(own[3], made) if later.at < end)]
    return receipts


def _afterwards(die: float, made: ReceiptRow) -> list[ReceiptRow]:
    """What became of a sale: taken back at once, or something brought back days later; mostly nothing."""
    if die < 0.003:
        return [baskets.void(made, at=made.at + timedelta(seconds=50))]
    if die > 0.022:
        return []
    days = 1 + int((die - 0.003) * 450)
    minutes = int(die * 40_000) % 90 - 45
    return [baskets.refund(made, at=made.at + timedelta(days=days, minutes=minutes), how_many=len(made.lines) - 1)]


@dataclass(frozen=True, slots=True)
class Seen:
    """A member who checked in at a store's desk."""

    check_in_id: UUID
    member_id: UUID
    at: datetime
    how: str


def check_ins_of_day(
    store: DemoStore, day: date, receipts: Sequence[ReceiptRow], members: Members, *, start: datetime, end: datetime
) -> list[Seen]:
    """Who checked in on a day: most members who bought, some minutes before, and some who bought nothing."""
    rng = dice(store, day, "check-ins")
    seen = []
    for receipt in receipts:
        told, other, early, way = rng.random(4).tolist()
        if receipt.member_id is None or receipt.kind != "sale" or receipt.channel != "till":
            continue
        came = receipt.at - timedelta(minutes=4 + 14 * early)
        how = ("phone", "card", "qr")[int(way * 3)]
        if told < _TOLD:
            seen.append((f"{receipt.receipt_no} bought", receipt.member_id, came, how))
        looker = members.someone(other, came) if early < _LOOKS else None
        if looker is not None:
            seen.append((f"{receipt.receipt_no} looked", looker, came + timedelta(minutes=2), how))
    return [
        Seen(uuid5(_CHECK_INS, f"{store.store_id} {key}"), member, at.replace(microsecond=0), how)
        for key, member, at, how in seen
        if start <= at < end
    ]
