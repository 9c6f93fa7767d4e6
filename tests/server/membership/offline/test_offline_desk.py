"""What a desk wrote down without a network goes in once, under who wrote it, and nobody can read it on the way."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from uuid import UUID, uuid4

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound, Unavailable
from server.membership.fields import CustomField, Option, Rules
from server.membership.models import NewMember
from server.membership.offline.envelopes import EnvelopeKeys, seal
from server.membership.offline.models import Enrolment, Kind, SealedItem
from server.membership.offline.service import KEPT, Forgetting, OfflineDesk
from server.membership.wording import Wording, standard_consents
from server.services import Services

Turned = Callable[[str], Scope]


def form(**values: object) -> dict[str, object]:
    return {
        "name": "周洁",
        "phone": "13912340001",
        "home_store": "S01",
        "consent": True,
        "marketing": True,
        "locale": "zh",
        **values,
    }


def item_of(
    desk: OfflineDesk,
    scope: Scope,
    content: dict[str, object],
    *,
    made_at: datetime,
    kind: Kind = "enrolment",
    item_id: UUID | None = None,
) -> SealedItem:
    blank = SealedItem(item_id or uuid4(), scope.user_id, kind, made_at.isoformat(), desk.public_key.key_id, sealed=b"")
    sealed = seal(desk.public_key, json.dumps(content).encode(), blank.bound_to, os.urandom(12))
    return SealedItem(blank.item_id, blank.user_id, kind, blank.made_at, blank.key_id, sealed)


@pytest.fixture
def desk(chain: Services) -> OfflineDesk:
    return chain.offline_desk


@pytest.fixture
def li(scope_of: Turned) -> Scope:
    """Somebody at the desk of S01."""
    return scope_of("desk")


def test_an_enrolment_made_offline_counts_from_when_the_person_agreed(
    chain: Services, desk: OfflineDesk, li: Scope
) -> None:
    made = chain.clock() - timedelta(hours=3)
    taken = desk.take(li, item_of(desk, li, form(birthday="1991-05-04"), made_at=made))
    assert taken.outcome == "done"
    assert taken.made_at == made
    assert taken.member_id is not None
    member = chain.membership.member(li, taken.member_id)
    assert (member.name, member.enrolled_at, member.enrolled_by) == ("周洁", made, li.actor)
    assert {consent.purpose: (consent.granted, consent.at) for consent in member.consents} == {
        "membership": (True, made),
        "marketing": (True, made),
    }


def test_the_words_that_were_shown_and_the_chains_own_fields_come_with_it(
    chain: Services, desk: OfflineDesk, li: Scope, scope_of: Turned
) -> None:
    hq = scope_of("hq")
    options = (Option("tea", {"zh": "茶", "en": "Tea"}), Option("run", {"zh": "跑步", "en": "Running"}))
    rules = Rules(required=True, options=options)
    chain.members.form.define(hq, CustomField("likes", "choices", {"zh": "喜好", "en": "Interests"}, rules))
    # The tablet showed the words of before; since then there are others.
    chain.members.consents.publish(hq, Wording("membership", "zh", "2027-01", "新的告知内容"))
    made = chain.clock() - timedelta(hours=1)
    shown = form(custom={"likes": ["run", "tea"], "retired": ["x"]}, versions={"membership": "2026-11"})
    taken = desk.take(li, item_of(desk, li, shown, made_at=made))
    assert taken.outcome == "done", taken
    assert taken.member_id is not None
    member = chain.membership.member(li, taken.member_id)
    assert member.custom == {"likes": ["run", "tea"]}
    (asked,) = [each for each in member.consents if each.purpose == "membership"]
    assert (asked.version, "2026-11" in asked.wording) == ("2026-11", True)
    other = form(phone="13912340002", custom={"likes": ["tea"]}, versions={"membership": "1999"})
    taken = desk.take(li, item_of(desk, li, other, made_at=made))
    assert taken.member_id is not None
    (asked,) = [each for each in chain.membership.member(li, taken.member_id).consents if each.purpose == "membership"]
    assert asked.wording == "新的告知内容", "a version that never was: today's words"
    lacking = desk.take(li, item_of(desk, li, form(phone="13912340003"), made_at=made))
    assert (lacking.outcome, lacking.problem_field) == ("refused", "custom.likes")


def test_the_same_item_again_is_the_same_item(chain: Services, desk: OfflineDesk, li: Scope) -> None:
    item = item_of(desk, li, form(), made_at=chain.clock())
    first = desk.take(li, item)
    assert desk.take(li, item) == first
    assert chain.membership.count(li) == 1


def test_a_server_killed_between_enrolling_and_noting_it_knows_its_own_member_again(
    chain: Services, desk: OfflineDesk, li: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = item_of(desk, li, form(), made_at=chain.clock() - timedelta(minutes=1))

    def killed(*_: object) -> None:
        raise Unavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(desk, "_end", killed)
        with pytest.raises(Unavailable):
            desk.take(li, item)
    assert desk.take(li, item).outcome == "done"
    assert chain.membership.count(li) == 1


def test_a_number_that_was_somebodys_is_shown_to_who_entered_it(chain: Services, desk: OfflineDesk, li: Scope) -> None:
    first = desk.take(li, item_of(desk, li, form(), made_at=chain.clock()))
    second = desk.take(li, item_of(desk, li, form(name="别人"), made_at=chain.clock()))
    assert (second.outcome, second.member_id) == ("known", first.member_id)
    assert desk.waiting(li) == [second]
    desk.settle(li, second.item_id)
    assert desk.waiting(li) == []
    with pytest.raises(NotFound):
        desk.settle(li, second.item_id)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"phone": "138"}, "phone"),
        ({"name": "  "}, "name"),
        ({"birthday": "2999-01-01"}, "birthday"),
        ({"birthday": "soon"}, "birthday"),
        ({"consent": False}, "consents"),
        ({"home_store": "S02"}, "store_id"),
    ],
)
def test_a_wrong_form_is_kept_for_its_person_to_put_right(
    chain: Services, desk: OfflineDesk, li: Scope, values: dict[str, object], field: str
) -> None:
    taken = desk.take(li, item_of(desk, li, form(**values), made_at=chain.clock()))
    assert (taken.outcome, taken.problem_field) == ("refused", field)
    held = desk.refused(li, taken.item_id)
    assert isinstance(held, Enrolment)
    assert {name: getattr(held, name) for name in form(**values)} == form(**values)
    desk.settle(li, taken.item_id)
    with pytest.raises(NotFound):
        desk.refused(li, taken.item_id)


def test_nobody_hands_in_what_a_colleague_wrote(
    chain: Services, desk: OfflineDesk, li: Scope, scope_of: Turned
) -> None:
    item = item_of(desk, li, form(), made_at=chain.clock())
    with pytest.raises(Forbidden):
        desk.take(scope_of("manager"), item)
    desk.take(li, item)
    # Nor by calling it one's own, which breaks the seal; nor by its number.
    stolen = SealedItem(item.item_id, scope_of("manager").user_id, item.kind, item.made_at, item.key_id, item.sealed)
    with pytest.raises(InvalidInput, match="changed after it was sealed"):
        desk.take(scope_of("manager"), stolen)
    with pytest.raises(NotFound):
        desk.settle(scope_of("manager"), item.item_id)


def test_an_item_number_of_a_colleagues_can_not_be_used_again(
    chain: Services, desk: OfflineDesk, li: Scope, scope_of: Turned
) -> None:
    item = item_of(desk, li, form(), made_at=chain.clock())
    desk.take(li, item)
    other = scope_of("manager")
    again = item_of(desk, other, form(phone="13912340002"), made_at=chain.clock(), item_id=item.item_id)
    with pytest.raises(Forbidden):
        desk.take(other, again)


@pytest.mark.parametrize("part", ["kind", "made_at", "sealed", "key_id"])
def test_an_item_that_was_changed_does_not_open(chain: Services, desk: OfflineDesk, li: Scope, part: str) -> None:
    item = item_of(desk, li, form(), made_at=chain.clock())
    changed = {
        "kind": ("check_in", item.made_at, item.key_id, item.sealed),
        "made_at": (item.kind, (chain.clock() - timedelta(days=1)).isoformat(), item.key_id, item.sealed),
        "sealed": (item.kind, item.made_at, item.key_id, item.sealed[:-1] + bytes([item.sealed[-1] ^ 1])),
        "key_id": (item.kind, item.made_at, "0123456789ab", item.sealed),
    }[part]
    with pytest.raises(InvalidInput):
        desk.take(li, SealedItem(item.item_id, item.user_id, *changed))
    assert desk.waiting(li) == []


def test_what_was_sealed_to_the_key_of_before_still_opens() -> None:
    first, second = "Zmlyc3Q" * 8, "c2Vjb25k" * 8
    old = EnvelopeKeys(first)
    sealed = seal(old.public, b"tea", ("a", "b"), os.urandom(12))
    assert EnvelopeKeys(second, old_secret_keys=first).open(old.public.key_id, sealed, ("a", "b")) == b"tea"
    with pytest.raises(InvalidInput, match="doesn't have"):
        EnvelopeKeys(second).open(old.public.key_id, sealed, ("a", "b"))


def test_nothing_readable_is_kept_of_what_was_refused(chain: Services, desk: OfflineDesk, li: Scope) -> None:
    desk.take(li, item_of(desk, li, form(phone="139", name="不留名"), made_at=chain.clock()))
    with chain.db.read() as conn:
        row = conn.execute("SELECT desk_item::text, encode(sealed, 'escape') FROM desk_item").fetchone()
    assert row is not None
    assert "不留名" not in row[0] + row[1]


def test_a_clock_that_runs_ahead_enrols_nobody_tomorrow(chain: Services, desk: OfflineDesk, li: Scope) -> None:
    taken = desk.take(li, item_of(desk, li, form(), made_at=chain.clock() + timedelta(days=1)))
    assert taken.member_id is not None
    assert chain.membership.member(li, taken.member_id).enrolled_at == chain.clock()


def test_a_member_enrolled_with_the_network_is_known_when_the_answer_was_lost(
    chain: Services, desk: OfflineDesk, li: Scope
) -> None:

    member = chain.membership.enrol(
        li, NewMember("周洁", "13912340001", "S01", standard_consents("zh", marketing=False))
    )
    item = item_of(desk, li, form(), made_at=chain.clock())
    desk.note_done(li, item.item_id, "enrolment", member.member_id)
    assert desk.take(li, item).outcome == "done"
    assert desk.waiting(li) == []


def test_what_is_settled_is_forgotten_after_a_while_and_what_waits_is_not(
    chain: Services, desk: OfflineDesk, li: Scope, clock: object
) -> None:
    desk.take(li, item_of(desk, li, form(), made_at=chain.clock()))
    desk.take(li, item_of(desk, li, form(phone="1"), made_at=chain.clock()))
    later = chain.clock() + KEPT + timedelta(seconds=1)
    assert Forgetting(chain.db, lambda: later).run(Event()) == "1 items of offline desks forgotten"
    assert len(desk.waiting(li)) == 1
