"""What the demo's chain promises its members, and what a few of them make of it.

All of it goes through the services that desks and headquarters use, with their clocks turned back, and what follows
from receipts is worked out by the consumers that the jobs run: the demo shows what the product does, not what somebody
wrote into its tables. Coupons are promised after the first members were enrolled, or all of those would be welcomed.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from threading import Event
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np

from cli.demo import repository
from cli.demo.chain import STORES, TIMEZONE, DemoStore
from cli.demo.people import STAFF
from cli.demo.story import Story, dice
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.kpi.correction_service import CorrectionsService, Shift
from server.membership.care import CareService
from server.membership.coupons.definitions import CouponDefinitions
from server.membership.coupons.models import NewDefinition
from server.membership.coupons.occasions import CouponNights, CouponPosting
from server.membership.coupons.service import CouponsService
from server.membership.crypto import MemberKeys
from server.membership.notes import NotesService
from server.membership.points.posting import Posting
from server.membership.points.rules import Promotion
from server.membership.points.rules import Rules as PointsRules
from server.membership.points.service import PointsService
from server.membership.reading import MemberReader
from server.membership.service import MembershipService
from server.membership.stored_value.cards import ValueCards
from server.membership.stored_value.models import NewBonusRule
from server.membership.stored_value.rules import ValueRules
from server.membership.stored_value.service import StoredValueService
from server.membership.tiers.evaluation import TierRun, evaluate, standings
from server.membership.tiers.rules import Benefits, Level, TierRules
from server.membership.tiers.service import TiersService
from server.membership.value.service import ValueService
from server.storage.pool import Database
from server.stores.calendar import StoreCalendar
from server.stores.service import StoresService

SCOPE: Final = Scope.system("demo")
_KEYS: Final = UUID("2f6f0a4e-6a54-4c0a-9d0c-4f1f0c0a7d31")
#: Of each store's first members, so many have notes and tags, and so many a card with money on it.
_NOTED: Final = 14
_HOLDERS: Final = 7
_AHEAD: Final = timedelta(days=7)
_NOTES: Final = (
    "喜欢乌龙茶，常买礼盒送客户。Buys gift boxes for clients.",
    "鞋码 42；周末带孩子来。Size 42, comes with children.",
    "希望新品到店时电话通知。Wants a call when new goods arrive.",
    "对坚果过敏，不要推荐零食。Allergic to nuts.",
)
_TAGS: Final = ("茶客 tea", "送礼 gifts", "周末 weekends", "新品 novelties")
_TOP_UPS: Final = (500, 1000, 1000, 2000, 3000)


class Promises:
    """What HQ promises, and what desks did with it.

    Args:
        before: when the promises were made: before anybody in this chain bought anything (aware).
        clock: what the jobs that follow go by.
    """

    def __init__(self, db: Database, keys: MemberKeys, story: Story, before: datetime, clock: Clock = utc_now) -> None:
        self._db = db
        self._keys = keys
        self._story = story
        self._before = before
        self._clock = clock

    def make(self) -> None:
        """Rules of points, tiers and stored value, as if they always held."""
        zone = ZoneInfo(TIMEZONE)
        week = self._story.promotion
        double = Promotion(
            name="会员周双倍积分 Members' week: double points",
            starts=datetime.combine(week.first, time(4), zone),
            ends=datetime.combine(week.last + timedelta(days=1), time(4), zone),
            factor=Decimal(2),
        )
        points = PointsRules(
            rates={"CNY": Decimal(1)},
            value={"CNY": Decimal("0.01")},
            return_days=7,
            expires_months=12,
            at_month_end=True,
            timezone=TIMEZONE,
            least=100,
            step=100,
            promotions=(double,),
        )
        membership = MembershipService(self._db, self._keys, self._long_ago)
        PointsService(self._db, membership, self._long_ago).save_rules(SCOPE, points, "演示规则 the demo's rules")
        TiersService(self._db, self._long_ago).save_rules(SCOPE, _tiers(), "演示等级 the demo's tiers")
        value = ValueRules(self._db, self._long_ago)
        value.add_bonus_rule(SCOPE, NewBonusRule("CNY", Decimal(500), amount=Decimal(50), valid_from=self._before))
        value.add_bonus_rule(SCOPE, NewBonusRule("CNY", Decimal(1000), percent=Decimal(15), valid_from=self._before))

    def promise_coupons(self) -> list[int]:
        """Coupons for whoever is enrolled, has a birthday or rises from now on; their definitions.

        What happened before is passed over first: the chain had no coupons then.
        """
        CouponPosting(self._db, self._clock).run(Event())
        definitions = CouponDefinitions(self._db, self._long_ago)
        return [definitions.add(SCOPE, new).definition_id for new in _coupons()]

    def use(self, store: DemoStore, members: Sequence[UUID], day: date, promised: Sequence[int]) -> None:
        """What desks of a store did for its first members: notes, tags, cards, money on them, a coupon by hand.

        Args:
            members: in order of enrolment.
            day: before which it was done.
        """
        rng = dice(store, day, "desk")
        at = datetime.combine(day, time(15), ZoneInfo(TIMEZONE)).astimezone(UTC) - timedelta(days=3)
        reader = MemberReader(self._keys)
        notes = NotesService(self._db, self._keys, reader, lambda: at)
        care = CareService(self._db, reader, lambda: at)
        for place, member in enumerate(members[:_NOTED]):
            notes.write(SCOPE, member, _NOTES[place % len(_NOTES)])
            care.tag(SCOPE, member, [_TAGS[int(rng.integers(len(_TAGS)))]])
        cards = ValueCards(self._db, lambda: at)
        for place, member in enumerate(members[:_HOLDERS]):
            self._load(cards, rng, store, member, place, at)
        coupons = CouponsService(self._db, self._clock)
        for member in members[:_HOLDERS]:
            coupons.issue(SCOPE, promised[0], member, str(uuid5(_KEYS, f"coupon {member}")))

    def _load(
        self, cards: ValueCards, rng: np.random.Generator, store: DemoStore, member: UUID, place: int, at: datetime
    ) -> None:
        def key(what: str) -> str:
            return str(uuid5(_KEYS, f"{what} {store.store_id} {place}"))

        card = cards.open(SCOPE, store.store_id, key("card"), member_id=member)
        paid = Decimal(_TOP_UPS[int(rng.integers(len(_TOP_UPS)))])
        money = StoredValueService(self._db, lambda: at)
        money.top_up(SCOPE, card.card_id, store.store_id, paid, key("top up"), tender="wechat")
        spent = (paid * int(rng.integers(10, 60)) / 100).quantize(Decimal("0.01"))
        later = StoredValueService(self._db, lambda: at + timedelta(days=2))
        later.spend(SCOPE, card.card_id, store.store_id, spent, key("spend"))

    def follow(self, start: datetime, end: datetime, stop: Event) -> None:
        """What jobs would have made of it: points, tiers, coupons by event and by night, and what members are worth.

        Args:
            start: what was bought from then on.
            end: and up to then.
        """
        Posting(self._db, standings, self._clock).run(stop)
        self._rise(start, end, stop)
        TierRun(self._db, self._clock).follow(stop)
        CouponPosting(self._db, self._clock).run(stop)
        CouponNights(self._db, self._keys, self._clock).run(stop)
        ValueService(self._db, "CNY", self._clock).make(SCOPE)

    def _rise(self, start: datetime, end: datetime, stop: Event) -> None:
        """Tiers of who bought, day after day: one begins on the day it was reached, not on that of the making."""
        while start < end and not stop.is_set():
            until = min(start + timedelta(days=1), end)
            with self._db.transaction() as conn:
                evaluate(conn, repository.buyers(conn, start, until), until)
            start = until

    def _long_ago(self) -> datetime:
        return self._before


def roster(store: DemoStore, calendar: StoreCalendar, first: date, last: date) -> dict[tuple[str, date], list[Shift]]:
    """Who works when in a store: an early and a late shift over each day's opening hours."""
    rosters: dict[tuple[str, date], list[Shift]] = {}
    day = first
    while day <= last:
        shifts = []
        for opens, closes in calendar.open_spans(day):
            middle = opens + (closes - opens) / 2
            half = Decimal(store.staff) / 2
            shifts += [Shift(opens, middle, half, "早班 early"), Shift(middle, closes, half, "晚班 late")]
        rosters[store.store_id, day] = shifts
        day += timedelta(days=1)
    return rosters


def write_rosters(db: Database, first: date, today: date) -> None:
    """The rosters of all stores, up to a week ahead."""
    stores = StoresService(db)
    said = CorrectionsService(db, stores)
    for store in STORES:
        said.set_rosters(SCOPE, roster(store, stores.calendar(SCOPE, store.store_id), first, today + _AHEAD))


def advisor_of(store: DemoStore, rng: np.random.Generator) -> str:
    """Who of the store's staff looks after a new member; mostly nobody does."""
    if rng.random() > 0.4:
        return ""
    own = STAFF[STORES.index(store)]
    return own[int(rng.integers(len(own)))]


def _tiers() -> TierRules:
    return TierRules(
        levels=(
            Level(slug="member", names={"zh": "普卡会员", "en": "Member"}),
            Level(
                slug="silver",
                names={"zh": "银卡会员", "en": "Silver"},
                spend=Decimal(1500),
                visits=8,
                benefits=Benefits(multiplier=Decimal("1.2")),
            ),
            Level(
                slug="gold",
                names={"zh": "金卡会员", "en": "Gold"},
                spend=Decimal(5000),
                benefits=Benefits(multiplier=Decimal("1.5"), birthday_gift="桂花乌龙礼盒", birthday_value=Decimal(168)),
            ),
            Level(
                slug="platinum",
                names={"zh": "铂金会员", "en": "Platinum"},
                spend=Decimal(15000),
                benefits=Benefits(multiplier=Decimal(2), birthday_gift="羊绒围巾", birthday_value=Decimal(499)),
            ),
        ),
        grace_days=30,
    )


def _coupons() -> list[NewDefinition]:
    return [
        NewDefinition(
            title={"zh": "新会员 满200减30", "en": "Welcome: 30 off from 200 on"},
            kind="amount",
            currency="CNY",
            value=Decimal(30),
            minimum_spend=Decimal(200),
            valid_days=30,
            issue_on="welcome",
            asks_consent=False,
        ),
        NewDefinition(
            title={"zh": "生日九折券", "en": "Birthday: 10% off"},
            kind="percent",
            currency="CNY",
            value=Decimal(10),
            most_off=Decimal(100),
            valid_days=21,
            issue_on="birthday",
            days=7,
        ),
        NewDefinition(
            title={"zh": "升级礼 冷泡茶一份", "en": "Tier gift: a cold-brew tea"},
            kind="gift",
            currency="CNY",
            gift_sku="TEA-101",
            valid_days=60,
            issue_on="tier_up",
            tiers=("gold", "platinum"),
            asks_consent=False,
        ),
    ]
