"""Coupons to many by hand: a part at a time, each member once, and only who agreed where the definition asks for it."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest

from server.access.models import Scope
from server.errors import Forbidden, NotFound
from server.membership.coupons.models import Group, NewDefinition
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock


def people(chain: Services, number: int, store: str = "S01") -> list[UUID]:
    return [
        chain.membership.enrol(
            SYSTEM,
            NewMember("张伟", f"1380013{each:04d}", store, standard_consents("zh", marketing=each % 2 == 0)),
        ).member_id
        for each in range(number)
    ]


def defined(chain: Services, *, asks_consent: bool, most_in_all: int | None = None) -> int:
    new = NewDefinition(
        title={"en": "ten off"},
        kind="amount",
        currency="CNY",
        value=Decimal(10),
        valid_days=30,
        asks_consent=asks_consent,
        most_in_all=most_in_all,
    )
    return chain.coupon_definitions.add(SYSTEM, new).definition_id


def test_a_group_is_gone_through_in_parts_and_gets_each_coupon_once(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.membership.coupons.groups.PART", 3)
    hq = scope_of("hq")
    members = people(chain, 5)
    everybody = defined(chain, asks_consent=False)
    first = chain.coupon_groups.issue(hq, everybody, Group(store_id="S01"), "all-of-them")
    assert (first.issued, first.not_asked, first.after) == (3, 0, sorted(members)[2])
    rest = chain.coupon_groups.issue(hq, everybody, Group(store_id="S01"), "all-of-them", first.after)
    assert (rest.issued, rest.after) == (2, None)
    again = chain.coupon_groups.issue(hq, everybody, Group(store_id="S01"), "all-of-them")
    assert again.issued == 0
    other = chain.coupon_groups.issue(hq, everybody, Group(store_id="S02"), "of-another-store")
    assert (other.issued, other.after) == (0, None)
    assert chain.coupon_groups.tallies(hq)[everybody].open == 5
    clock.turn(days=31)
    tally = chain.coupon_groups.tallies(hq)[everybody]
    assert (tally.issued, tally.open, tally.expired) == (5, 0, 5), "before the night has said so"


def test_who_agreed_to_nothing_is_not_asked_and_what_is_used_up_is_told(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    hq = scope_of("hq")
    people(chain, 4)
    asking = defined(chain, asks_consent=True)
    done = chain.coupon_groups.issue(hq, asking, Group(), "who-agreed")
    assert (done.issued, done.not_asked, done.used_up) == (2, 2, 0)
    few = defined(chain, asks_consent=False, most_in_all=1)
    done = chain.coupon_groups.issue(hq, few, Group(tier="member"), "one-only")
    assert (done.issued, done.used_up) == (1, 3)
    assert chain.coupon_groups.issue(hq, few, Group(high=True), "of-high-value").issued == 0
    chain.coupon_definitions.end(SYSTEM, few)
    with pytest.raises(NotFound):
        chain.coupon_groups.issue(hq, few, Group(), "too-late")
    for role in ("region", "manager", "desk"):
        with pytest.raises(Forbidden):
            chain.coupon_groups.issue(scope_of(role), asking, Group(), "not-theirs")
        with pytest.raises(Forbidden):
            chain.coupon_groups.tallies(scope_of(role))
