"""One-time codes, recovery codes, temporary passwords: each step of signing in, and that none can be skipped."""

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from server.access import totp
from server.access.models import SignedIn
from server.access.service import AccessService
from server.access.totp import SecretBox
from server.app import create_app
from server.errors import Conflict, Forbidden, InvalidInput, NotSignedIn, TooManyRequests
from server.services import Services, make_services
from server.settings import Settings
from tests.server.conftest import PASSWORD, SECRET, SYSTEM, TurnedClock

HERE = "10.0.0.1"
OTHER_KEY = "b3RoZXIga2V5IG9mIHRoaXJ0eS10d28gYnl0ZXMhISE="


def secret_of(access: AccessService, session: SignedIn) -> bytes:
    """What an app reads from the picture."""

    query = parse_qs(urlsplit(access.offer_totp(session).address).query)
    return base64.b32decode(query["secret"][0])


class Phone:
    """An authenticator app that read the offer."""

    def __init__(self, secret: bytes, clock: Callable[[], datetime]) -> None:
        self.secret = secret
        self.clock = clock

    def code(self) -> str:
        return totp.code_at(self.secret, self.clock())


@pytest.fixture
def phone(chain: Services, clock: TurnedClock) -> Phone:
    """The admin's telephone, set up; half a minute later."""
    session = chain.access.sign_in("admin", PASSWORD, HERE)
    phone = Phone(secret_of(chain.access, session), clock)
    chain.access.confirm_totp(session, phone.code(), HERE, password=PASSWORD)
    clock.turn(seconds=30)
    return phone


@pytest.fixture
def strict(settings: Settings, chain: Services, clock: TurnedClock) -> Iterator[Services]:
    """The same chain, where admin and HQ must have one-time codes."""
    with make_services(settings.model_copy(update={"totp_roles": "admin, hq"}), clock) as made:
        yield made


def test_the_codes_are_those_of_the_standard() -> None:
    # RFC 6238, appendix B: SHA-1, the last six of its eight digits.
    secret = b"12345678901234567890"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        moment = datetime.fromtimestamp(seconds).astimezone()
        assert totp.code_at(secret, moment) == code
        assert totp.step_of(secret, code, moment, 0) == seconds // 30
        assert totp.step_of(secret, f"{code[:3]} {code[3:]}", moment, 0) is not None


def test_a_code_holds_for_a_clock_that_is_half_a_minute_off_and_no_more(clock: TurnedClock) -> None:
    secret = totp.new_secret()
    code = totp.code_at(secret, clock.now)
    for seconds, taken in ((-30, True), (30, True), (60, False), (-90, False)):
        moment = clock.now.fromtimestamp(clock.now.timestamp() + seconds).astimezone()
        assert (totp.step_of(secret, code, moment, 0) is not None) is taken


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "000000000000", "é"])
def test_what_is_no_code_is_wrong(code: str, clock: TurnedClock) -> None:
    assert totp.step_of(b"\x00" * 20, code, clock.now, 0) is None


def test_with_a_code_the_password_alone_opens_nothing(chain: Services, phone: Phone) -> None:
    waiting = chain.access.sign_in("admin", PASSWORD, HERE)
    assert waiting.stage == "code"
    assert chain.access.session(waiting.token) is None
    assert chain.access.pending(waiting.token) is not None
    opened = chain.access.give_code(waiting, phone.code(), HERE)
    assert opened.stage == "open"
    assert chain.access.session(opened.token) is not None
    assert opened.token != waiting.token
    assert chain.access.pending(waiting.token) is None
    assert chain.access.session(waiting.token) is None


def test_a_code_is_taken_once(chain: Services, phone: Phone, clock: TurnedClock) -> None:
    code = phone.code()
    chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), code, HERE)
    again = chain.access.sign_in("admin", PASSWORD, HERE)
    with pytest.raises(InvalidInput):
        chain.access.give_code(again, code, HERE)
    clock.turn(seconds=30)
    with pytest.raises(InvalidInput):
        chain.access.give_code(again, code, HERE)
    assert chain.access.give_code(again, phone.code(), HERE).stage == "open"


def test_the_code_that_set_it_up_is_taken_too(chain: Services, clock: TurnedClock) -> None:
    session = chain.access.sign_in("admin", PASSWORD, HERE)
    phone = Phone(secret_of(chain.access, session), clock)
    chain.access.confirm_totp(session, phone.code(), HERE, password=PASSWORD)
    with pytest.raises(InvalidInput):
        chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), phone.code(), HERE)


def test_codes_can_not_be_guessed_by_signing_in_again_and_again(chain: Services, phone: Phone) -> None:
    """The password is right each time: it must not forgive the wrong codes before it."""

    def guess() -> None:
        for _ in range(10):
            waiting = chain.access.sign_in("admin", PASSWORD, HERE)
            with pytest.raises(InvalidInput):
                chain.access.give_code(waiting, "000000", HERE)

    with pytest.raises(TooManyRequests):
        guess()


def test_who_gave_the_password_has_ten_minutes_for_the_rest(chain: Services, phone: Phone, clock: TurnedClock) -> None:
    waiting = chain.access.sign_in("admin", PASSWORD, HERE)
    clock.turn(minutes=10)
    assert chain.access.pending(waiting.token) is None


def test_two_answers_to_one_step_open_one_session(chain: Services, phone: Phone, clock: TurnedClock) -> None:
    waiting = chain.access.sign_in("admin", PASSWORD, HERE)
    chain.access.give_code(waiting, phone.code(), HERE)
    clock.turn(seconds=30)
    with pytest.raises(NotSignedIn):
        chain.access.give_code(waiting, phone.code(), HERE)


def test_setting_it_up_ends_every_other_session_and_turns_this_one_over(chain: Services, clock: TurnedClock) -> None:
    elsewhere = chain.access.sign_in("admin", PASSWORD, "10.0.0.9")
    session = chain.access.sign_in("admin", PASSWORD, HERE)
    phone = Phone(secret_of(chain.access, session), clock)
    with pytest.raises(InvalidInput):
        chain.access.confirm_totp(session, "000000", HERE, password=PASSWORD)
    with pytest.raises(InvalidInput) as without:
        chain.access.confirm_totp(session, phone.code(), HERE, password="the next one's guess")
    assert without.value.field == "password", "an open session alone puts nobody's telephone in"
    assert chain.access.sign_in("admin", PASSWORD, "10.0.0.8").stage == "open", "offered is not yet in use"
    confirmed = chain.access.confirm_totp(session, phone.code(), HERE, password=PASSWORD)
    assert chain.access.session(elsewhere.token) is None
    assert chain.access.session(session.token) is None
    assert chain.access.session(confirmed.session.token) is not None
    with pytest.raises(Conflict):
        chain.access.offer_totp(confirmed.session)


def test_a_recovery_code_opens_one_sign_in_and_is_stored_as_a_hash(chain: Services, clock: TurnedClock) -> None:
    session = chain.access.sign_in("admin", PASSWORD, HERE)
    phone = Phone(secret_of(chain.access, session), clock)
    codes = chain.access.confirm_totp(session, phone.code(), HERE, password=PASSWORD).recovery_codes
    assert len(set(codes)) == 10
    with chain.db.read() as conn:
        stored = str(conn.execute("SELECT * FROM recovery_code").fetchall())
        secret = str(conn.execute("SELECT totp_secret FROM app_user WHERE username = 'admin'").fetchone())
    assert not any(code in stored for code in codes)
    assert phone.secret.hex() not in secret
    opened = chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), codes[3].upper(), HERE)
    assert chain.access.recovery_codes_left(opened) == 9
    with pytest.raises(InvalidInput):
        chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), codes[3], HERE)
    desk = chain.access.sign_in("desk", PASSWORD, "10.3.0.1")
    with pytest.raises(InvalidInput):
        chain.access.turn_off_totp(desk, codes[4], "10.3.0.1")


def test_turning_it_off_takes_a_code_and_is_for_roles_that_may(
    chain: Services, strict: Services, phone: Phone, clock: TurnedClock
) -> None:
    session = chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), phone.code(), HERE)
    clock.turn(seconds=30)
    with pytest.raises(Forbidden):
        strict.access.turn_off_totp(session, phone.code(), HERE)
    with pytest.raises(InvalidInput):
        chain.access.turn_off_totp(session, "000000", HERE)
    chain.access.turn_off_totp(session, phone.code(), HERE)
    assert chain.access.sign_in("admin", PASSWORD, HERE).stage == "open"


def test_an_administrator_takes_lost_codes_away(chain: Services, phone: Phone) -> None:
    waiting = chain.access.sign_in("admin", PASSWORD, HERE)
    chain.access.reset_totp(SYSTEM, "admin")
    assert chain.access.pending(waiting.token) is None
    assert chain.access.sign_in("admin", PASSWORD, HERE).stage == "open"


def test_roles_of_the_setting_can_not_go_on_without(strict: Services, clock: TurnedClock) -> None:
    for name in ("admin", "hq"):
        waiting = strict.access.sign_in(name, PASSWORD, HERE)
        assert waiting.stage == "enrol"
        assert strict.access.session(waiting.token) is None
        phone = Phone(secret_of(strict.access, waiting), clock)
        assert secret_of(strict.access, waiting) == phone.secret, "the same again until it is confirmed"
        confirmed = strict.access.confirm_totp(waiting, phone.code(), HERE)
        assert strict.access.session(confirmed.session.token) is not None
        assert strict.access.sign_in(name, PASSWORD, HERE).stage == "code"
    assert strict.access.sign_in("manager", PASSWORD, HERE).stage == "open"


def test_a_temporary_password_opens_nothing_but_its_own_end(chain: Services, clock: TurnedClock) -> None:
    before = chain.access.sign_in("manager", PASSWORD, HERE)
    temporary = chain.access.reset_password(SYSTEM, "manager")
    assert chain.access.session(before.token) is None
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("manager", PASSWORD, HERE)
    waiting = chain.access.sign_in("manager", temporary, HERE)
    assert waiting.stage == "password"
    assert chain.access.session(waiting.token) is None
    for bad in (temporary, "short"):
        with pytest.raises(InvalidInput):
            chain.access.replace_temporary(waiting, bad, HERE)
    opened = chain.access.replace_temporary(waiting, "a password of my own", HERE)
    assert chain.access.session(opened.token) is not None
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("manager", temporary, HERE)
    assert chain.access.sign_in("manager", "a password of my own", HERE).stage == "open"


def test_a_temporary_password_ends_after_three_days(chain: Services, clock: TurnedClock) -> None:
    user, temporary = chain.access.invite_user(SYSTEM, "new", "新人", "desk", ["S01"])
    assert user.must_change
    clock.turn(days=3)
    with pytest.raises(NotSignedIn):
        chain.access.sign_in("new", temporary, HERE)


def test_codes_come_before_another_password_and_the_setting_after_it(
    chain: Services, strict: Services, phone: Phone, clock: TurnedClock
) -> None:
    temporary = chain.access.reset_password(SYSTEM, "admin")
    waiting = chain.access.sign_in("admin", temporary, HERE)
    assert waiting.stage == "code"
    with pytest.raises(NotSignedIn):
        chain.access.replace_temporary(waiting, "a password of my own", HERE)
    second = chain.access.give_code(waiting, phone.code(), HERE)
    assert second.stage == "password"
    assert chain.access.replace_temporary(second, "a password of my own", HERE).stage == "open"
    temporary = chain.access.reset_password(SYSTEM, "hq")
    third = strict.access.sign_in("hq", temporary, HERE)
    assert strict.access.replace_temporary(third, "a password of my own", HERE).stage == "enrol"


def test_secrets_are_read_under_an_old_key_and_brought_under_the_new(
    settings: Settings, chain: Services, phone: Phone, clock: TurnedClock
) -> None:
    turned = {"secret_key": SecretStr(OTHER_KEY), "old_secret_keys": SecretStr(SECRET)}
    with make_services(settings.model_copy(update=turned), clock) as rotated:
        rotated.access.purge()
    only_new = {"secret_key": SecretStr(OTHER_KEY)}
    with make_services(settings.model_copy(update=only_new), clock) as after:
        waiting = after.access.sign_in("admin", PASSWORD, HERE)
        assert after.access.give_code(waiting, phone.code(), HERE).stage == "open"
    with pytest.raises(InvalidInput):
        chain.access.give_code(chain.access.sign_in("admin", PASSWORD, HERE), phone.code(), HERE)


def test_a_secret_is_one_users_own() -> None:
    box = SecretBox(SECRET)
    sealed = box.seal(b"secret", "one")
    assert box.open(sealed, "one") == (b"secret", False)
    with pytest.raises(InvalidInput):
        box.open(sealed, "other")
    with pytest.raises(InvalidInput):
        SecretBox("").seal(b"secret", "one")


def test_the_api_goes_on_step_by_step(strict: Services, clock: TurnedClock) -> None:
    with TestClient(create_app(strict), raise_server_exceptions=False) as browser:
        me = browser.post("/api/v1/session", json={"username": "hq", "password": PASSWORD}).json()
        assert me["stage"] == "enrol"
        csrf = {"X-CSRF-Token": me["csrf_token"]}
        assert browser.get("/api/v1/me").status_code == 401
        assert browser.get("/api/v1/stores").status_code == 401
        assert browser.post("/api/v1/me/totp/offer").status_code == 403, "without the token"
        offer = browser.post("/api/v1/me/totp/offer", headers=csrf).json()

        phone = Phone(base64.b32decode(offer["secret"].replace(" ", "")), clock)
        wrong = browser.post("/api/v1/me/totp/confirm", json={"code": "000000"}, headers=csrf)
        assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "code")
        answer = browser.post("/api/v1/me/totp/confirm", json={"code": phone.code()}, headers=csrf)
        assert len(answer.json()["codes"]) == 10
        assert browser.get("/api/v1/me").json()["stage"] == "open"
        assert browser.get("/api/v1/me/totp").json() == {
            "is_on": True,
            "is_required": True,
            "recovery_codes_left": 10,
        }
        clock.turn(seconds=30)
        me = browser.post("/api/v1/session", json={"username": "hq", "password": PASSWORD}).json()
        assert me["stage"] == "code"
        csrf = {"X-CSRF-Token": me["csrf_token"]}
        for path in ("offer", "confirm", "off", "recovery-codes"):
            assert browser.post(f"/api/v1/me/totp/{path}", json={"code": phone.code()}, headers=csrf).status_code == 401
        assert browser.post("/api/v1/session/password", json={"new": "x" * 12}, headers=csrf).status_code == 401
        assert browser.post("/api/v1/session/code", json={"code": phone.code()}, headers=csrf).status_code == 201
        assert browser.get("/api/v1/stores").status_code == 200
