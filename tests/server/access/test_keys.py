"""API keys, at the service."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound, NotSignedIn
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock


def test_a_tills_key_is_for_its_stores_and_stored_as_a_hash(chain: Services) -> None:
    key = chain.access.create_api_key(SYSTEM, "till 3", "till", ["S01"])
    scope = chain.access.api_key(key)
    key_id = chain.access.api_keys(SYSTEM)[0].key_id
    assert (scope.role, scope.stores, scope.actor) == ("till", frozenset({"S01"}), f"key:till 3 ({key_id})")
    other = chain.access.api_key(chain.access.create_api_key(SYSTEM, "till 3", "till", ["S01"]))
    assert other.actor != scope.actor, "of two keys of one name the trail says which it was"
    with chain.db.read() as conn:
        stored = str(conn.execute("SELECT * FROM api_key").fetchall())
    assert key.rpartition("_")[2] not in stored
    assert chain.access.audit_trail(SYSTEM, 1)[0].action == "api_key.create"


def test_a_key_of_hq_without_stores_sees_the_chain_and_with_stores_only_those(chain: Services) -> None:
    assert chain.access.api_key(chain.access.create_api_key(SYSTEM, "bi", "hq")).stores is None
    named = chain.access.api_key(chain.access.create_api_key(SYSTEM, "bi", "hq", ["S02"]))
    assert named.stores == frozenset({"S02"})


def test_a_key_ends_when_it_expires(chain: Services, clock: TurnedClock) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"], clock.now + timedelta(days=1))
    assert chain.access.api_key(key)
    clock.turn(days=1)
    with pytest.raises(NotSignedIn):
        chain.access.api_key(key)


def test_a_key_ends_when_it_is_revoked(chain: Services) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    key_id = chain.access.api_keys(SYSTEM)[0].key_id
    chain.access.revoke_api_key(SYSTEM, key_id)
    with pytest.raises(NotSignedIn):
        chain.access.api_key(key)
    with pytest.raises(NotFound):
        chain.access.revoke_api_key(SYSTEM, key_id)


def test_the_last_use_is_noted_but_not_at_every_request(chain: Services, clock: TurnedClock) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    first = clock.now
    chain.access.api_key(key)
    clock.turn(seconds=30)
    chain.access.api_key(key)
    assert chain.access.api_keys(SYSTEM)[0].last_used_at == first
    clock.turn(seconds=30)
    chain.access.api_key(key)
    assert chain.access.api_keys(SYSTEM)[0].last_used_at == clock.now


def test_a_key_that_is_almost_right_is_wrong(chain: Services) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    other = chain.access.create_api_key(SYSTEM, "till", "till", ["S02"])
    swapped = key.rpartition("_")[0] + "_" + other[-43:]
    # The last digit of 256 bits in base64 has two bits to spare, so it is an earlier one that is changed.
    for wrong in (key[:-1], key[:-5] + ("A" if key[-5] != "A" else "B") + key[-4:], swapped, "", key + "x"):
        with pytest.raises(NotSignedIn):
            chain.access.api_key(wrong)


def test_a_key_that_makes_no_sense_is_refused_by_field(chain: Services) -> None:
    cases: list[tuple[str, str, list[str], datetime | None, str]] = [
        ("", "till", ["S01"], None, "name"),
        ("x", "manager", ["S01"], None, "role"),
        ("x", "till", [], None, "stores"),
        ("x", "till", ["S99"], None, "stores"),
        ("x", "hq", [], datetime(2030, 1, 1), "expires_at"),  # noqa: DTZ001 - naive on purpose
        ("x", "hq", [], datetime(2020, 1, 1, tzinfo=UTC), "expires_at"),
        ("x", "hq", [], datetime.fromisoformat("9999-12-31T23:59:59-14:00"), "expires_at"),
    ]
    for name, role, stores, expires_at, field in cases:
        with pytest.raises(InvalidInput) as refused:
            chain.access.create_api_key(SYSTEM, name, role, stores, expires_at)  # type: ignore[arg-type]
        assert refused.value.field == field


def test_only_an_admin_of_the_whole_chain_makes_keys_and_users(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    of_one_store = chain.access.api_key(chain.access.create_api_key(SYSTEM, "setup", "admin", ["S01"]))
    for scope in (scope_of("hq"), of_one_store):
        with pytest.raises(Forbidden):
            chain.access.create_api_key(scope, "mine", "admin")
        with pytest.raises(Forbidden):
            chain.access.create_user(scope, "mine", PASSWORD, "", "admin")
