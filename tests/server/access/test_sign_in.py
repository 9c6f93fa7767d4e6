"""Sign-in, sessions, lock-out and passwords, at the service."""

import threading
from collections.abc import Callable

import pytest

from server.access.models import Scope
from server.access.passwords import Passwords
from server.errors import Conflict, Forbidden, InvalidInput, NotSignedIn, TooManyRequests
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock

HERE = "10.0.0.1"


def test_the_right_password_opens_a_session_with_the_users_scope(chain: Services) -> None:
    signed_in = chain.access.sign_in(" Manager ", PASSWORD, HERE)
    found = chain.access.session(signed_in.token)
    assert found is not None
    assert found.scope == Scope(found.user.user_id, "manager", frozenset({"S01"}), "zh", "manager")
    assert found.csrf == signed_in.csrf != signed_in.token


def test_only_hashes_of_passwords_and_tokens_are_stored(chain: Services) -> None:
    signed_in = chain.access.sign_in("manager", PASSWORD, HERE)
    with chain.db.read() as conn:
        stored = str(conn.execute("SELECT * FROM session").fetchall())
        hashes = [row[0] for row in conn.execute("SELECT password_hash FROM app_user").fetchall()]
    assert signed_in.token not in stored
    assert all(text.startswith("$argon2id$") for text in hashes)
    assert len(set(hashes)) == len(hashes)


def test_a_wrong_name_and_a_wrong_password_read_the_same(chain: Services) -> None:
    for username, password in (("manager", "wrong password"), ("nobody", PASSWORD), ("", ""), ("manager", "x" * 5000)):
        with pytest.raises(NotSignedIn, match=r"^user name or password is wrong$"):
            chain.access.sign_in(username, password, HERE)


def test_an_unknown_name_costs_a_hash_too(chain: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | None] = []
    passwords = chain.access._passwords
    check = passwords.check

    def spy(password: str, stored: str | None) -> tuple[bool, str | None]:
        checked.append(stored)
        return check(password, stored)

    monkeypatch.setattr(passwords, "check", spy)
    hashed: list[str] = []
    verify = passwords._hasher.verify_and_update

    def spy_hash(password: str, stored: str) -> tuple[bool, str | None]:
        hashed.append(stored)
        return verify(password, stored)

    monkeypatch.setattr(passwords._hasher, "verify_and_update", spy_hash)
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("nobody", PASSWORD, HERE)
    assert checked == [None]
    assert len(hashed) == 1


def test_a_disabled_user_is_out_at_once_and_stays_out(chain: Services) -> None:
    token = chain.access.sign_in("desk", PASSWORD, HERE).token
    chain.access.disable_user(SYSTEM, "desk")
    assert chain.access.session(token) is None
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("desk", PASSWORD, HERE)


def test_a_session_ends_by_idling(chain: Services, clock: TurnedClock) -> None:
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    for _ in range(5):
        clock.turn(minutes=59)
        assert chain.access.session(token) is not None
    clock.turn(minutes=60)
    assert chain.access.session(token) is None


def test_a_session_ends_by_age_however_busy(chain: Services, clock: TurnedClock) -> None:
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    for _ in range(24):
        assert chain.access.session(token) is not None
        clock.turn(minutes=30)
    assert chain.access.session(token) is None


def test_signing_in_ends_the_session_the_browser_came_with(chain: Services) -> None:
    planted = chain.access.sign_in("desk", PASSWORD, HERE).token
    fresh = chain.access.sign_in("manager", PASSWORD, HERE, previous_token=planted)
    assert chain.access.session(planted) is None
    assert chain.access.session(fresh.token) is not None


def test_signing_out_ends_the_session_and_twice_does_no_harm(chain: Services) -> None:
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    chain.access.sign_out(token)
    chain.access.sign_out(token)
    assert chain.access.session(token) is None


def test_a_changed_password_ends_every_session_of_the_user(chain: Services) -> None:
    first = chain.access.sign_in("manager", PASSWORD, HERE)
    second = chain.access.sign_in("manager", PASSWORD, "10.0.0.2")
    other = chain.access.sign_in("desk", PASSWORD, HERE)
    with pytest.raises(InvalidInput, match="current password is wrong"):
        chain.access.change_password(first.scope, "not it, sorry", "another long one", HERE)
    chain.access.change_password(first.scope, PASSWORD, "another long one", HERE)
    assert chain.access.session(first.token) is None
    assert chain.access.session(second.token) is None
    assert chain.access.session(other.token) is not None
    assert chain.access.sign_in("manager", "another long one", HERE).user.username == "manager"


def fail(services: Services, times: int, username: str = "manager", address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(NotSignedIn):
            services.access.sign_in(username, "wrong password", address)


def test_after_five_failures_even_the_right_password_waits(chain: Services, clock: TurnedClock) -> None:
    fail(chain, 5)
    with pytest.raises(TooManyRequests) as refused:
        chain.access.sign_in("manager", PASSWORD, HERE)
    assert refused.value.retry_after == 10
    clock.turn(seconds=10)
    fail(chain, 1)
    with pytest.raises(TooManyRequests) as refused:
        chain.access.sign_in("manager", PASSWORD, HERE)
    assert refused.value.retry_after == 20


def test_a_locked_account_is_open_from_another_address(chain: Services) -> None:
    fail(chain, 5)
    assert chain.access.sign_in("manager", PASSWORD, "10.9.9.9").user.username == "manager"


def test_guessing_from_many_addresses_locks_the_account(chain: Services) -> None:
    for number in range(20):
        fail(chain, 1, address=f"10.1.0.{number}")
    with pytest.raises(TooManyRequests):
        chain.access.sign_in("manager", PASSWORD, "10.2.0.1")


def test_trying_one_password_on_everyone_locks_the_address(chain: Services) -> None:
    for number in range(50):
        fail(chain, 1, username=f"guess{number}")
    with pytest.raises(TooManyRequests):
        chain.access.sign_in("manager", PASSWORD, HERE)


def test_signing_in_forgives_the_failures_before(chain: Services, clock: TurnedClock) -> None:
    fail(chain, 4)
    chain.access.sign_in("manager", PASSWORD, HERE)
    fail(chain, 4)
    assert chain.access.sign_in("manager", PASSWORD, HERE)
    fail(chain, 5)
    clock.turn(hours=1, seconds=1)
    fail(chain, 5)


def test_guesses_sent_at_once_are_counted_one_by_one(chain: Services) -> None:
    outcomes: list[str] = []

    def guess() -> None:
        try:
            chain.access.sign_in("manager", "wrong password", HERE)
        except (NotSignedIn, TooManyRequests) as error:
            outcomes.append(error.code)

    guesses = [threading.Thread(target=guess) for _ in range(20)]
    for each in guesses:
        each.start()
    for each in guesses:
        each.join()
    assert outcomes.count("not_signed_in") == 5
    assert outcomes.count("too_many_requests") == 15


def test_a_session_left_open_is_no_place_to_guess_the_password(chain: Services) -> None:
    scope = chain.access.sign_in("manager", PASSWORD, HERE).scope
    for _ in range(5):
        with pytest.raises(InvalidInput):
            chain.access.change_password(scope, "a guess", "another long one", HERE)
    with pytest.raises(TooManyRequests):
        chain.access.change_password(scope, PASSWORD, "another long one", HERE)


def test_a_password_changed_while_it_is_checked_opens_nothing(chain: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing it ends every session; one that begins just afterwards with the old password must not outlive that."""
    check = Passwords.check

    def slow(self: Passwords, password: str, stored: str | None) -> tuple[bool, str | None]:
        checked = check(self, password, stored)
        chain.access.set_password(SYSTEM, "manager", "another long one")
        return checked

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "check", slow)
        with pytest.raises(NotSignedIn):
            chain.access.sign_in("manager", PASSWORD, HERE)
    assert chain.access.sign_in("manager", "another long one", HERE).user.username == "manager"


def test_sign_ins_and_failures_are_in_the_audit_trail(chain: Services) -> None:
    fail(chain, 1)
    token = chain.access.sign_in("manager", PASSWORD, HERE).token
    chain.access.sign_out(token)
    trail = [(entry.action, entry.actor) for entry in chain.access.audit_trail(SYSTEM, 3)]
    assert trail == [("session.close", "manager"), ("session.open", "manager"), ("session.refused", "manager")]


def test_a_password_typed_where_the_name_belongs_does_not_stay_in_the_trail(chain: Services) -> None:
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("hunter2-my-password", "", HERE)
    newest = chain.access.audit_trail(SYSTEM, 1)[0]
    assert (newest.action, newest.actor, newest.detail) == ("session.refused", "unknown", {"address": HERE})


def test_passwords_are_long_and_names_are_unique(chain: Services) -> None:
    with pytest.raises(InvalidInput, match="has 9 characters") as short:
        chain.access.create_user(SYSTEM, "new", "123456789", "", "hq")
    assert short.value.field == "password"
    with pytest.raises(Conflict):
        chain.access.create_user(SYSTEM, "MANAGER", PASSWORD, "", "hq")


def test_a_user_that_makes_no_sense_is_refused_by_field(chain: Services) -> None:
    cases: list[tuple[str, str, list[str], str, str]] = [
        ("with space", "hq", [], "zh", "username"),
        ("new", "boss", [], "zh", "role"),
        ("new", "till", ["S01"], "zh", "role"),
        ("new", "manager", [], "zh", "stores"),
        ("new", "hq", ["S01"], "zh", "stores"),
        ("new", "manager", ["S99"], "zh", "stores"),
        ("new", "hq", [], "fr", "locale"),
    ]
    for name, role, stores, locale, field in cases:
        with pytest.raises(InvalidInput) as refused:
            chain.access.create_user(SYSTEM, name, PASSWORD, "", role, stores, locale)  # type: ignore[arg-type]
        assert refused.value.field == field
        assert refused.value.remedy


def test_only_an_admin_makes_users(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    for role in ("hq", "region", "manager", "desk"):
        with pytest.raises(Forbidden):
            chain.access.create_user(scope_of(role), "new", PASSWORD, "", "admin")
    assert chain.access.create_user(scope_of("admin"), "new", PASSWORD, "", "admin").role == "admin"
