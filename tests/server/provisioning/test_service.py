"""Who is given a certificate, how one follows another, and how one ends: over a real database."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import pytest

from cli.device import _remark
from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.ingest.models import Incoming
from server.provisioning import repository
from server.provisioning.authority import Authority
from server.provisioning.models import Endpoint, Revoked
from server.provisioning.service import ProvisioningService
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.ingest.devices import Sender, crossing, tell
from wire import messages
from wire.enrolment import Enrolment, decode
from wire.messages import Status

ENDPOINT = Endpoint("mqtt.example.com", 8883)


@dataclass
class Stick:
    """Where enrolment files are handed over."""

    files: list[Enrolment] = field(default_factory=list)

    def __call__(self, content: bytes) -> Callable[[], None]:
        self.files.append(decode(content))
        return lambda: self.files.clear()


@dataclass
class Desk:
    """The service with what every call of it needs."""

    service: ProvisioningService
    authority: Authority
    stick: Stick = field(default_factory=Stick)

    def add(self, name: str = "door-1", store: str = "S01", scope: Scope = SYSTEM, days: int = 365) -> str:
        return self.service.add_device(
            scope,
            store,
            name,
            authority=self.authority,
            endpoint=ENDPOINT,
            hand_over=self.stick,
            life=timedelta(days=days),
        ).fingerprint

    def rotate(self, name: str = "door-1", overlap: int = 30) -> str:
        return self.service.rotate(
            SYSTEM,
            name,
            authority=self.authority,
            endpoint=ENDPOINT,
            hand_over=self.stick,
            overlap=timedelta(days=overlap),
        ).fingerprint

    def live(self, name: str = "door-1") -> list[str]:
        (device,) = [each for each in self.service.devices(SYSTEM) if each.device_id == name]
        return [each.fingerprint for each in device.certificates]

    def listed(self) -> int:
        return len(self.service.ended(SYSTEM, self.authority))


@pytest.fixture
def desk(chain: Services, clock: TurnedClock, authority: Authority) -> Desk:
    return Desk(ProvisioningService(chain.db, clock), authority)


def says(chain: Services, clock: TurnedClock, fingerprint: str, device: str = "door-1") -> None:
    """What a box that signed in with a certificate says of itself."""
    status = Status(device=device, online=True, at=clock.now, certificate=fingerprint)
    chain.ingest.note_status(device, messages.encode(status), clock.now)


def test_a_box_gets_one_file_with_all_it_needs(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    fingerprint = desk.add()
    (given,) = desk.stick.files
    assert (given.device, given.store, given.host, given.port) == ("door-1", "S01", "mqtt.example.com", 8883)
    assert given.issued_at == clock.now
    assert given.not_after == clock.now + timedelta(days=365)
    (device,) = chain.stores.devices(SYSTEM, "S01")
    assert device.device_id == "door-1"
    (listed,) = desk.service.devices(SYSTEM, "S01")
    assert [each.fingerprint for each in listed.certificates] == [fingerprint]
    assert not listed.has_password
    assert desk.service.devices(SYSTEM, "S02") == []


def test_the_key_is_nowhere_but_in_the_file(desk: Desk, chain: Services) -> None:
    desk.add()
    secret = desk.stick.files[0].key.splitlines()[1]
    with chain.db.read() as conn:
        for table in ("device", "device_certificate", "audit"):
            rows = conn.execute(psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(table))).fetchall()
            assert rows
            assert secret not in str(rows)


def test_no_password_opens_a_box_with_a_certificate(desk: Desk, chain: Services) -> None:
    desk.add()
    assert not chain.stores.check_device(SYSTEM, "door-1", "")


@pytest.mark.parametrize(
    "name", ["doorline-server", "Doorline-Server", "doorline-ingest-1", "a/b", "+", "#", "", "x" * 65]
)
def test_names_that_would_speak_for_others_are_refused(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidInput):
        desk.add(name)
    assert desk.stick.files == []


def test_a_name_is_given_once_even_after_its_end(desk: Desk) -> None:
    desk.add()
    with pytest.raises(Conflict, match="already"):
        desk.add(store="S02")
    desk.service.revoke(SYSTEM, "door-1")
    with pytest.raises(Conflict, match="already"):
        desk.add()


def test_only_an_admin_issues_and_ends(desk: Desk, scope_of: Callable[[str], Scope]) -> None:
    desk.add("door-1")
    for name in ("hq", "region", "manager", "desk"):
        scope = scope_of(name)
        for refused in (
            lambda scope=scope: desk.add("door-2", scope=scope),
            lambda scope=scope: desk.service.revoke(scope, "door-1"),
            lambda scope=scope: desk.service.settle(scope),
            lambda scope=scope: desk.service.ended(scope, desk.authority),
        ):
            with pytest.raises(Forbidden):
                refused()
    assert [each.device_id for each in desk.service.devices(scope_of("manager"))] == ["door-1"]
    desk.add("door-2", store="S02")
    assert [each.device_id for each in desk.service.devices(scope_of("manager"))] == ["door-1"]
    with pytest.raises(Forbidden):
        desk.service.devices(scope_of("manager"), "S02")


def test_a_file_that_can_not_be_handed_over_leaves_no_box(desk: Desk) -> None:
    def full(content: bytes) -> Callable[[], None]:
        raise Conflict("the stick is full")

    with pytest.raises(Conflict):
        desk.service.add_device(SYSTEM, "S01", "door-1", authority=desk.authority, endpoint=ENDPOINT, hand_over=full)
    assert desk.service.devices(SYSTEM) == []


def test_a_commit_that_fails_takes_the_file_back(desk: Desk, chain: Services) -> None:
    with chain.db.transaction() as conn:
        # What a database does that goes down just before the end: the last statement was fine, the commit is not.
        conn.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON device_certificate DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    with pytest.raises(psycopg.Error, match="the disk is full"):
        desk.add()
    assert desk.stick.files == []
    assert desk.service.devices(SYSTEM) == []


def test_the_old_one_goes_on_until_the_new_one_was_seen(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    old = desk.add()
    says(chain, clock, old)
    clock.turn(days=300)
    new = desk.rotate()
    assert desk.live() == [new, old]
    says(chain, clock, old)
    assert desk.service.settle(SYSTEM) == []
    clock.turn(hours=1)
    says(chain, clock, new)
    assert [each.fingerprint for each in desk.service.settle(SYSTEM)] == [old]
    assert desk.live() == [new]
    assert [each.at for each in desk.service.ended(SYSTEM, desk.authority)] == [clock.now]


def test_the_old_one_ends_after_its_days_even_if_nobody_carried_the_new_one(desk: Desk, clock: TurnedClock) -> None:
    desk.add()
    clock.turn(days=1)
    new = desk.rotate(overlap=10)
    clock.turn(days=9, hours=23)
    assert desk.service.settle(SYSTEM) == []
    clock.turn(hours=1)
    assert len(desk.service.settle(SYSTEM)) == 1
    assert desk.live() == [new]


def test_of_three_the_one_that_came_ends_those_before_it(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    first = desk.add()
    clock.turn(days=1)
    second = desk.rotate()
    clock.turn(days=1)
    third = desk.rotate()
    says(chain, clock, second)
    desk.service.settle(SYSTEM)
    assert desk.live() == [third, second]
    assert first not in desk.live()


def test_a_key_in_other_hands_ends_now(desk: Desk) -> None:
    desk.add()
    new = desk.rotate(overlap=0)
    assert desk.live() == [new]
    assert desk.listed() == 1


def test_another_boxs_word_ends_nothing(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    old = desk.add("door-1")
    desk.add("door-2")
    clock.turn(days=1)
    new = desk.rotate("door-1")
    says(chain, clock, new, device="door-2")
    assert desk.service.settle(SYSTEM) == []
    assert desk.live() == [new, old]


def test_a_box_that_was_ended_is_listed_until_its_certificate_expires(desk: Desk, clock: TurnedClock) -> None:
    desk.add(days=100)
    assert desk.service.revoke(SYSTEM, "door-1") == Revoked(was_live=True, certificates=1)
    assert desk.listed() == 1
    # Again, since somebody may have to: the passphrase was wrong, or the broker away.
    assert desk.service.revoke(SYSTEM, "door-1") == Revoked(was_live=False, certificates=0)
    with pytest.raises(NotFound):
        desk.service.revoke(SYSTEM, "door-9")
    clock.turn(days=100)
    assert desk.listed() == 0


def test_a_box_ended_over_the_api_is_listed_too(desk: Desk, chain: Services) -> None:
    """That way knows no certificates; the next list is made of what the database says all the same."""
    desk.add()
    chain.stores.revoke_device(SYSTEM, "door-1")
    assert [each.end_reason for each in desk.service.settle(SYSTEM)] == ["revoked"]
    assert desk.listed() == 1


@pytest.mark.parametrize("by", ["command", "api"])
def test_an_ended_box_is_taken_back_with_a_new_certificate_and_nothing_older(
    desk: Desk, chain: Services, clock: TurnedClock, by: str
) -> None:
    """What it counted since waits on it under its name, which no other box can have."""
    password = chain.stores.add_device(SYSTEM, "S01", "door-1").password
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
    old, box = desk.rotate(), Sender("door-1")
    batch = box.batch([crossing(1, clock.now)], sent_at=clock.now)
    if by == "command":
        desk.service.revoke(SYSTEM, "door-1")
    else:
        chain.stores.revoke_device(SYSTEM, "door-1")
    (refused,) = tell(chain.ingest, batch)
    assert isinstance(refused, messages.Refusal)
    assert "doorline device rotate door-1" in refused.reason

    new = desk.rotate()
    assert desk.live() == [new]
    assert not desk.service.takes("door-1", old)
    assert desk.service.takes("door-1", new)
    assert not chain.stores.check_device(SYSTEM, "door-1", password)
    assert desk.listed() == 1
    assert tell(chain.ingest, batch) == [messages.Ack(epoch=box.epoch, seq=1)]
    actions = [each.action for each in chain.access.audit_trail(SYSTEM, 2)]
    assert sorted(actions) == ["device.reinstate", "device.rotate"]


def test_a_list_names_its_own_authoritys_only(desk: Desk, clock: TurnedClock) -> None:
    desk.add()
    desk.service.revoke(SYSTEM, "door-1")
    assert desk.service.ended(SYSTEM, Authority.create("another", clock.now)) == []


def test_a_box_with_a_password_can_be_given_a_certificate(desk: Desk, chain: Services) -> None:
    chain.stores.add_device(SYSTEM, "S01", "door-1")
    assert [each.has_password for each in desk.service.devices(SYSTEM)] == [True]
    new = desk.rotate()
    assert desk.live() == [new]


def test_being_seen_is_written_once_an_hour(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    fingerprint = desk.add()

    def note() -> bool:
        with chain.db.transaction() as conn:
            return repository.note_seen(conn, "door-1", fingerprint, clock.now)

    first = clock.now
    assert note()
    clock.turn(minutes=59)
    assert not note()
    clock.turn(minutes=2)
    assert not note()
    (device,) = desk.service.devices(SYSTEM)
    assert device.certificates[0].first_seen_at == first
    assert device.certificates[0].last_seen_at == clock.now


@pytest.mark.parametrize(("off", "said"), [(4, ""), (90, "0:01:30 ahead"), (-7200, "2:00:00 behind")])
def test_a_clock_that_is_off_is_said(desk: Desk, chain: Services, clock: TurnedClock, off: int, said: str) -> None:
    desk.add()
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
    sent = Sender().batch([crossing(1, clock.now)], sent_at=clock.now + timedelta(seconds=off))
    tell(chain.ingest, Incoming("door-1", sent.payload, clock.now))
    (device,) = desk.service.devices(SYSTEM)
    assert device.skew_ms == (off * 1000 if said else None)
    remark = _remark(device, clock.now)
    assert ("its clock is" in remark) == bool(said)
    assert said in remark


def test_a_box_that_moves_leaves_its_backlog_where_it_counted_it(
    desk: Desk, chain: Services, clock: TurnedClock, scope_of: Callable[[str], Scope]
) -> None:
    desk.add()
    for store in ("S01", "S02"):
        chain.stores.add_camera(SYSTEM, store, f"{store}-C1", lines=[f"{store}-L1"])
    old, new = Sender("door-1"), Sender("door-1")

    def taken(sender: Sender, seq: int, store: str) -> None:
        record = crossing(seq, clock.now, camera=f"{store}-C1", line=f"{store}-L1")
        (reply,) = tell(chain.ingest, sender.batch([record], sent_at=clock.now))
        assert isinstance(reply, messages.Ack)

    taken(old, 1, "S01")
    with pytest.raises(Forbidden):
        desk.service.move(scope_of("hq"), "door-1", "S02")
    assert desk.service.move(SYSTEM, "door-1", "S02") == "S01"
    taken(old, 2, "S01")
    taken(new, 1, "S02")
    with chain.db.read() as conn:
        assert conn.execute("SELECT store_id, count(*) FROM crossing GROUP BY 1 ORDER BY 1").fetchall() == [
            ("S01", 2),
            ("S02", 1),
        ]
        assert conn.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,)
    for name, store, error in (("door-1", "S02", Conflict), ("door-9", "S02", NotFound), ("door-1", "S99", NotFound)):
        with pytest.raises(error):
            desk.service.move(SYSTEM, name, store)


def test_what_is_done_is_in_the_audit_trail(desk: Desk, chain: Services, clock: TurnedClock) -> None:
    old = desk.add()
    clock.turn(days=1)
    new = desk.rotate()
    says(chain, clock, new)
    desk.service.settle(SYSTEM)
    desk.service.revoke(SYSTEM, "door-1")
    trail = list(reversed(chain.access.audit_trail(SYSTEM, 4)))
    assert [each.action for each in trail] == ["device.add", "device.rotate", "device.supersede", "device.revoke"]
    assert trail[2].detail == {"fingerprint": old}


@pytest.mark.parametrize(("days", "overlap"), [(0, 1), (8000, 1), (365, -1)])
def test_lives_and_overlaps_that_can_not_be(desk: Desk, days: int, overlap: int) -> None:
    if overlap > 0:
        with pytest.raises(InvalidInput, match="can't be good for"):
            desk.add(days=days)
        return
    desk.add()
    with pytest.raises(InvalidInput, match="negative"):
        desk.rotate(overlap=overlap)
