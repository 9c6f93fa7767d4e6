"""API keys, at the service."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from server.access.models import KeyRole, Scope
from server.errors import Forbidden, InvalidInput, NotFound, NotSignedIn
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock


def test_a_tills_key_is_for_its_stores_and_stored_as_a_hash(chain: Services) -> None:
    key = chain.access.create_api_key(SYSTEM, "till 3", "till", ["S01"])
    scope = chain.access.api_key(key)
    assert (scope.role, scope.stores, scope.actor) == ("till", frozenset({"S01"}), "key:till 3")
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


@pytest.mark.parametrize("change", [lambda k: k[:-1], lambda k: k[:-1] + ("A" if k[-1] != "A" else "B"), lambda _: ""])
def test_a_key_that_is_almost_right_is_wrong(chain: Services, change: Callable[[str], str]) -> None:
    key = chain.access.create_api_key(SYSTEM, "till", "till", ["S01"])
    with pytest.raises(NotSignedIn):
        chain.access.api_key(change(key))


@pytest.mark.parametrize(
    ("name", "role", "stores", "expires_at", "field"),
    [
        ("", "till", ["S01"], None, "name"),
        ("x", "manager", ["S01"], None, "role"),
        ("x", "till", [], None, "stores"),
        ("x", "till", ["S99"], None, "stores"),
        ("x", "hq", [], datetime(2030, 1, 1), "expires_at"),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_field(
    chain: Services, name: str, role: KeyRole, stores: list[str], expires_at: datetime | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        chain.access.create_api_key(SYSTEM, name, role, stores, expires_at)
    assert refused.value.field == field


def test_only_an_admin_makes_keys(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    with pytest.raises(Forbidden):
        chain.access.create_api_key(scope_of("hq"), "mine", "admin")
