"""Tiers: up at once, down after period and grace; other rules tried first; SQL and Python judge alike."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import events
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.points.rules import Rules
from server.membership.tiers import evaluation, repository
from server.membership.tiers import rules as rules_of
from server.membership.tiers.evaluation import TierRun
from server.membership.tiers.rights import TierRights
from server.membership.tiers.rules import Activity, Benefits, Level, TierRules
from server.membership.tiers.service import TiersService
from server.membership.tiers.simulation import TierSimulations
from server.membership.tiers.standing import Standing, decide, window_start
from server.storage.pool import Database
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.points.counter import CNY, Till, add_member, add_stores, assert_proved
from tests.server.membership.points.counter import rule as save_points

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
BOB = Scope("u4", "hq", None, name="bob")
ALICE = Scope("u3", "manager", frozenset({"S01"}), name="alice")

LADDER = TierRules(
    levels=(
        Level(slug="member"),
        Level(slug="silver", spend=Decimal(1000), visits=3, benefits=Benefits(multiplier=Decimal("1.5"))),
        Level(
            slug="gold",
            spend=Decimal(5000),
            benefits=Benefits(discount=Decimal(10), multiplier=Decimal(2), birthday_value=Decimal(50)),
        ),
        Level(slug="black"),
    ),
    grace_days=30,
)


@pytest.fixture
def shop(db: Database, clock: TurnedClock) -> Till:
    """A till whose sales earn points by tier."""
    add_stores(db)
    save_points(db, clock, CNY)
    return Till(db, clock, evaluation.standings)


def follow(shop: Till) -> None:
    """Post what the till told, and let tiers follow all of it; see `Till.post` for why that may take a moment."""
    shop.post()

    def followed() -> bool:
        TierRun(shop.db, shop.clock).follow(Event())
        with shop.db.read() as conn:
            return all(lag.oldest is None for lag in events.lags(conn) if lag.consumer == evaluation.CONSUMER)

    wait_until(followed, 60, "tiers to have followed")


def tier(shop: Till, member: UUID) -> str:
    return TiersService(shop.db, shop.clock).tier(BOB, member).tier


# -- rules alone


def stand(tier: str, **more: datetime) -> Standing:
    return Standing(tier, NOW - timedelta(days=100), **more)


LATER, PAST = NOW + timedelta(days=1), NOW - timedelta(days=1)
SILVER, GOLD, NOTHING = Activity(Decimal(1000)), Activity(Decimal(5000)), Activity()


@pytest.mark.parametrize(
    ("before", "done", "tier", "period_end", "grace_until"),
    [
        (stand("member"), NOTHING, "member", None, None),
        (stand("member"), Activity(visits=3), "silver", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (stand("member"), GOLD, "gold", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (stand("silver", period_end=LATER), GOLD, "gold", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (stand("gold", period_end=LATER), NOTHING, "gold", LATER, None),
        (stand("gold", period_end=PAST), GOLD, "gold", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (stand("gold", period_end=PAST), SILVER, "gold", PAST, PAST + timedelta(days=30)),
        (stand("gold", period_end=PAST, grace_until=LATER), SILVER, "gold", PAST, LATER),
        (stand("gold", period_end=PAST, grace_until=LATER), GOLD, "gold", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (
            stand("gold", period_end=PAST, grace_until=NOW),
            SILVER,
            "silver",
            datetime(2027, 11, 20, 4, tzinfo=UTC),
            None,
        ),
        (stand("gold", period_end=PAST, grace_until=NOW), NOTHING, "member", None, None),
        (stand("black"), GOLD, "black", None, None),
        (stand("gone"), SILVER, "silver", datetime(2027, 11, 20, 4, tzinfo=UTC), None),
        (stand("gone"), NOTHING, "member", None, None),
    ],
)
def test_up_at_once_down_after_period_and_grace(
    before: Standing, done: Activity, tier: str, period_end: datetime | None, grace_until: datetime | None
) -> None:
    after = decide(before, done, LADDER, NOW)
    assert (after.tier, after.period_end, after.grace_until) == (tier, period_end, grace_until)
    assert decide(after, done, LADDER, NOW) == after, "to look twice changes nothing"


def test_one_step_down_at_a_time_where_the_rules_say_so() -> None:
    rules = TierRules(levels=LADDER.levels, down="one")
    assert decide(stand("gold", period_end=PAST), NOTHING, rules, NOW).tier == "silver"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[", "rules"),
        ('{"levels": []}', "levels"),
        ('{"levels": [{"slug": "a", "spend": "1"}]}', "levels[0]"),
        ('{"levels": [{"slug": "a"}, {"slug": "a", "spend": "1"}]}', "levels[1].slug"),
        ('{"levels": [{"slug": "A b"}]}', "levels[0].slug"),
        ('{"levels": [{"slug": "a"}, {"slug": "b", "spend": "-1"}]}', "levels[1].spend"),
        ('{"levels": [{"slug": "a", "benefits": {"discount": "101"}}]}', "levels[0].benefits.discount"),
        ('{"levels": [{"slug": "a"}], "rates": {"euro": "1"}}', "rates"),
        ('{"levels": [{"slug": "a"}], "window_months": 0}', "window_months"),
    ],
)
def test_rules_that_can_not_be_meant_are_refused_by_field(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rules_of.read(text)
    assert refused.value.field == field
    assert refused.value.remedy
    assert rules_of.read(rules_of.written(LADDER)) == LADDER


_asked = st.one_of(st.none(), st.integers(1, 4))


@given(
    st.lists(st.tuples(_asked, _asked, _asked, st.sampled_from(["any", "all"])), max_size=4),
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)),
)
def test_the_highest_level_earned_is_one_that_is_earned(
    asked: list[tuple[int | None, int | None, int | None, str]], has: tuple[int, int, int]
) -> None:
    levels = [Level(slug="l0")]
    for place, (spend, visits, points, match) in enumerate(asked, start=1):
        money = None if spend is None else Decimal(spend)
        levels.append(Level(slug=f"l{place}", spend=money, visits=visits, points=points, match=match))  # type: ignore[arg-type]
    rules, done = TierRules(levels=tuple(levels)), Activity(Decimal(has[0]), has[1], has[2])
    rank = rules.earned(done)
    assert rank == 0 or rules.levels[rank].is_earned_by(done)
    assert not any(level.is_earned_by(done) for level in rules.levels[rank + 1 :])


# -- with receipts


def test_a_purchase_moves_a_member_up_at_once_and_multiplies_what_comes_after(db: Database, shop: Till) -> None:
    service = TiersService(db, shop.clock)
    saved = service.save_rules(BOB, LADDER, "the first ladder")
    assert (saved.version, saved.made_by, saved.reason) == (2, "bob", "the first ladder")
    member = add_member(db)
    shop.tell("R1", member, "1200")
    follow(shop)
    found = service.tier(ALICE, member)
    assert (found.tier, found.next_tier, found.to_go) == ("silver", "gold", Activity(Decimal(3800)))
    assert found.done == Activity(Decimal(1200), 1, 1200)
    assert [(each.from_tier, each.to_tier, each.why) for each in found.history] == [("member", "silver", "earned")]
    shop.clock.turn(minutes=1)
    shop.tell("R2", member, "100")
    # Late, and from before: it earns as of then.
    shop.tell("R0", member, "100", at=shop.clock.now - timedelta(days=2))
    follow(shop)
    with db.read() as conn:
        rows = conn.execute("SELECT receipt_no, tier, earned FROM points_receipt ORDER BY 1").fetchall()
        told = conn.execute("SELECT subject, body FROM event WHERE kind = 'tier.changed'").fetchall()
    assert rows == [("R0", "member", 100), ("R1", "member", 1200), ("R2", "silver", 150)]
    assert told == [(str(member), {"from": "member", "to": "silver", "why": "earned", "is_up": True})]


def test_what_was_given_back_does_not_count_but_takes_nothing_away_before_the_period_ends(
    db: Database, shop: Till
) -> None:
    TiersService(db, shop.clock).save_rules(BOB, LADDER, "the first ladder")
    member = add_member(db)
    shop.tell("R1", member, "1200")
    follow(shop)
    shop.refund("F1", "R1", "1200")
    run = TierRun(db, shop.clock)
    shop.clock.turn(days=360)
    run.run(Event())
    assert tier(shop, member) == "silver"
    shop.clock.turn(days=10)
    run.run(Event())
    assert tier(shop, member) == "silver", "in its grace"
    shop.clock.turn(days=30)
    assert run.run(Event()) == "1 were due, 1 went up or down"
    found = TiersService(db, shop.clock).tier(BOB, member)
    assert (found.tier, found.history[0].why) == ("member", "period")
    assert run.run(Event()) is None


def test_currencies_add_up_by_the_rates_of_the_rules_and_visits_are_days_by_store(db: Database, shop: Till) -> None:
    TiersService(db, shop.clock).save_rules(BOB, rules_with(rates={"EUR": Decimal(8)}), "euros count")
    one, two = add_member(db), add_member(db)
    shop.tell("R1", one, "130", currency="EUR", store="B01")
    for number, store in enumerate(("S01", "S01", "S02", "S02")):
        shop.tell(f"V{number}", two, "1", store=store, at=shop.clock.now - timedelta(days=number % 2 * 2))
    follow(shop)
    assert tier(shop, one) == "silver"
    assert TiersService(db, shop.clock).tier(BOB, two).done == Activity(Decimal(4), 4, 4)
    assert tier(shop, two) == "silver"


def rules_with(**changes: object) -> TierRules:
    return msgspec.structs.replace(LADDER, **changes)


def test_who_is_kept_in_a_merge_has_the_higher_tier_and_both_spends(db: Database, shop: Till) -> None:
    service = TiersService(db, shop.clock)
    service.save_rules(BOB, LADDER, "the first ladder")
    kept, gone, third = (add_member(db) for _ in range(3))
    service.give(BOB, gone, "black", "a friend of the house")
    shop.merge(kept, gone)
    follow(shop)
    assert tier(shop, kept) == "black"
    for member in (third, kept):
        shop.tell(f"R-{member}", member, "600")
    follow(shop)
    fourth = add_member(db)
    shop.tell("R4", fourth, "600")
    shop.merge(fourth, third)
    follow(shop)
    assert tier(shop, fourth) == "silver", "600 and 600"


def test_a_tier_is_given_by_hand_with_a_reason_and_for_a_time(db: Database, shop: Till) -> None:
    service = TiersService(db, shop.clock)
    service.save_rules(BOB, LADDER, "the first ladder")
    member = add_member(db)
    until = shop.clock.now + timedelta(days=10)
    found = service.give(ALICE, member, "black", "moved here from a rival", until)
    assert (found.tier, found.period_end) == ("black", until)
    assert (found.history[0].actor, found.history[0].reason) == ("alice", "moved here from a rival")
    for wrong, error in (
        (lambda: service.give(ALICE, member, "platinum", "x"), InvalidInput),
        (lambda: service.give(ALICE, member, "gold", " "), InvalidInput),
        (lambda: service.give(ALICE, member, "gold", "x", shop.clock.now), InvalidInput),
        (lambda: service.give(replace(ALICE, stores=frozenset({"S02"})), member, "gold", "x"), NotFound),
        (lambda: service.give(replace(ALICE, role="desk"), member, "gold", "x"), Forbidden),
        (lambda: service.save_rules(ALICE, LADDER, "x"), Forbidden),
        (lambda: service.save_rules(BOB, LADDER, "x", NOW - timedelta(days=1)), InvalidInput),
    ):
        with pytest.raises(error):
            wrong()
    shop.clock.turn(days=11)
    TierRun(db, shop.clock).run(Event())
    shop.clock.turn(days=30)
    TierRun(db, shop.clock).run(Event())
    assert tier(shop, member) == "member"


def test_a_simulation_says_who_would_move_and_what_it_costs_and_changes_nothing(db: Database, shop: Till) -> None:
    save_points(db, shop.clock, Rules(rates=CNY.rates, value={"CNY": Decimal("0.01")}))
    one, two, three = (add_member(db) for _ in range(3))
    shop.tell("R1", one, "6000")
    shop.tell("R2", two, "1500")
    follow(shop)
    simulations = TierSimulations(db, shop.clock)
    found = simulations.simulate(BOB, LADDER)
    assert [(pair.from_tier, pair.to_tier, pair.members, pair.cost_now, pair.cost_then) for pair in found.pairs] == [
        # A tenth of 6,000, as many points again at a cent, and a gift of 50; half of 1,500 points more.
        ("member", "gold", 1, Decimal(0), Decimal("710.00")),
        ("member", "member", 1, Decimal(0), Decimal(0)),
        ("member", "silver", 1, Decimal(0), Decimal("7.50")),
    ]
    assert (found.members, found.moving, found.cost_then) == (3, 2, Decimal("717.50"))
    assert {(each.member_id, each.to_tier, each.spend) for each in found.movers} == {
        (one, "gold", Decimal(6000)),
        (two, "silver", Decimal(1500)),
    }
    assert len(simulations.simulate(BOB, LADDER, limit=1).movers) == 1
    assert tier(shop, one) == "member"
    # Saved, the next night does what was foretold, and then nobody would move.
    TiersService(db, shop.clock).save_rules(BOB, LADDER, "as simulated")
    TierRun(db, shop.clock).run(Event())
    assert [tier(shop, member) for member in (one, two, three)] == ["gold", "silver", "member"]
    again = simulations.simulate(BOB, LADDER)
    assert (again.moving, again.cost_now, again.cost_then) == (0, Decimal("717.50"), Decimal("717.50"))
    with pytest.raises(Forbidden):
        simulations.simulate(ALICE, LADDER)
    assert_proved(db)


def test_sql_and_python_judge_alike(db: Database, shop: Till) -> None:
    ladders = [
        LADDER,
        TierRules(
            levels=(
                Level(slug="member"),
                Level(slug="often", visits=2),
                Level(slug="both", spend=Decimal(100), visits=2, match="all"),
                Level(slug="hand"),
                Level(slug="much", spend=Decimal(900), points=1500),
            )
        ),
        TierRules(levels=(Level(slug="member"), Level(slug="all", spend=Decimal(50), points=50, match="all"))),
    ]
    members = []
    for place in range(12):
        members.append(add_member(db))
        for sale in range(place % 4):
            shop.tell(
                f"R{place}-{sale}", members[-1], str(place * 30 + sale), at=shop.clock.now - timedelta(days=sale * 150)
            )
    follow(shop)
    for rules in ladders:
        with db.read() as conn:
            since = window_start(rules, shop.clock.now)
            done = repository.activity(conn, members, since, shop.clock.now, rules.all_rates())
            risen = [
                member
                for part in repository.slices(3)
                for member in repository.risen(conn, rules, since, shop.clock.now, part)
            ]
        assert {member for member in members if rules.earned(done.get(member, Activity())) > 0} == set(risen)
        simulated = TierSimulations(db, shop.clock).simulate(BOB, rules)
        assert {each.member_id: each.to_tier for each in simulated.movers} == {
            member: rules.levels[rules.earned(activity)].slug
            for member, activity in done.items()
            if rules.earned(activity)
        }


def test_tiers_from_before_there_were_rules_are_kept_until_rules_ask_something_for_them(
    db: Database, shop: Till
) -> None:
    """As the migration leaves a chain whose members have a tier that nobody's rules know yet."""
    member, run = add_member(db), TierRun(db, shop.clock)
    with db.transaction() as conn:
        conn.execute(
            "INSERT INTO tier_rules (version, valid_from, body, reason, made_by, made_at)"
            """ VALUES (7, '2001-01-01Z', '{"levels": [{"slug": "member"}, {"slug": "Gold VIP"}]}', 'x', 'x', now())"""
        )
        conn.execute("UPDATE member SET tier = 'Gold VIP'")
        conn.execute(
            "INSERT INTO tier_standing (member_id, tier, since, rules_version) VALUES (%s, 'Gold VIP', now(), 1)",
            (member,),
        )
    for _ in range(3):
        shop.clock.turn(days=300)
        assert run.run(Event()) is None
        assert tier(shop, member) == "Gold VIP"
    TiersService(db, shop.clock).save_rules(BOB, LADDER, "the first ladder")
    run.run(Event())
    assert tier(shop, member) == "member", "the new rules know no such tier, and nothing was earned"


def test_rules_can_not_be_changed_and_erasure_leaves_no_words(db: Database, shop: Till) -> None:
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation), db.transaction() as conn:
        conn.execute("UPDATE tier_rules SET reason = 'other'")
    service, rights = TiersService(db, shop.clock), TierRights()
    service.save_rules(BOB, LADDER, "the first ladder")
    member = add_member(db)
    service.give(BOB, member, "gold", "married the owner")
    with db.transaction() as conn:
        [section] = rights.export(conn, SYSTEM, [member])
        assert [row["reason"] for row in section.rows] == ["married the owner"]
        before = rights.balances(conn, SYSTEM, [member])
        assert rights.erase(conn, SYSTEM, [member], shop.clock.now).removed == {"reasons": 1, "standings": 1}
        assert rights.balances(conn, SYSTEM, [member]) == before
        assert rights.left(conn, SYSTEM, [member]) == {"reasons": 0}
