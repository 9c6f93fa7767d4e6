"""The uplink against real brokers: what a box does when the server is silent, wrong, gone or restored."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.clock import SystemClock, moment
from edge.link.mqtt import MqttTransport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import BrokerSettings
from edge.uplink import Backoff, Uplink
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.edge_peer import Peer
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until
from wire.messages import Ack, Refusal, Rewind

DEVICE, PASSWORD = "door-1", "device-password"
FAST = Backoff(0.05, 0.2)


class Box:
    """An outbox with an uplink on it, fed by hand."""

    def __init__(self, path: Path, port: int, *, password: str = PASSWORD, max_batch: int = 10) -> None:
        self.clock = SystemClock()
        self.path = path
        self.port = port
        self.password = password
        self.max_batch = max_batch
        self.next_track = 1
        self.start()

    def start(self) -> None:
        broker = BrokerSettings(host="127.0.0.1", port=self.port, password=self.password, keepalive_s=5)
        self.outbox = Outbox(self.path, self.clock, commit_every_s=0, max_batch=self.max_batch)
        self.uplink = Uplink(
            self.outbox,
            MqttTransport(DEVICE, broker, answer_s=0.5),
            self.clock,
            device=DEVICE,
            flush_after_s=0.05,
            max_batch=self.max_batch,
            resend_after_s=0.4,
            backoff=FAST,
            refusal_backoff=FAST,
        )
        self.uplink.start()

    def stop(self) -> None:
        self.uplink.stop()
        self.outbox.close()

    def count(self, number: int) -> None:
        for _ in range(number):
            crossing = Crossing("L1", "in", self.next_track, 0, 0.0, 0.9, self.next_track)
            self.outbox.append_crossing("C1", crossing, moment(self.clock))
            self.next_track += 1

    def drained(self) -> bool:
        return self.outbox.pending == 0


MakeBox = Callable[..., Box]


@pytest.fixture
def make_box(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[MakeBox]:
    broker.add_user(DEVICE, PASSWORD)
    with ExitStack() as stack:

        def make(port: int | None = None, **options: int | str) -> Box:
            box = Box(tmp_path / "outbox.sqlite", port or broker.port, **options)  # type: ignore[arg-type]
            stack.callback(box.stop)
            return box

        yield make


@pytest.fixture
def peer(broker: EmbeddedBroker) -> Iterator[Peer]:
    with Peer(broker.host, broker.port) as found:
        yield found


def complete(peer: Peer, box: Box) -> None:
    """Everything counted so far was committed, each once, and the box knows it."""
    wait_until(box.drained, 20, "the outbox to drain")
    assert peer.tracks == dict.fromkeys(range(1, box.next_track), 1)
    assert peer.contradictions == []


def test_counts_arrive_and_are_acknowledged(make_box: MakeBox, peer: Peer) -> None:
    box = make_box()
    box.count(25)
    complete(peer, box)
    assert max(len(batch.records) for batch in peer.batches) <= 10


def test_status_is_retained_while_online_and_says_good_bye(make_box: MakeBox, peer: Peer) -> None:
    box = make_box()
    online = wait_until(lambda: peer.status, what="a status")
    assert online is not None
    assert online.online
    assert online.epoch == box.outbox.epoch
    box.uplink.stop()
    wait_until(lambda: peer.status and not peer.status.online, what="the good-bye")
    assert peer.status is not None
    assert peer.status.at is not None, "the last will was published instead of our own good-bye"


def test_silence_is_answered_by_sending_the_same_again(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "silent"
    box = make_box()
    box.count(3)
    wait_until(lambda: len(peer.batches) >= 2, what="a second sending")
    first, again = peer.batches[:2]
    # On a busy machine the first may have left before all three were counted.
    assert again.records[: len(first.records)] == first.records
    assert box.outbox.pending == 3
    peer.mood = "answer"
    complete(peer, box)


def test_one_batch_is_in_flight_in_each_lane(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "silent"
    box = make_box()
    box.count(35)
    wait_until(lambda: len(peer.batches) >= 2, what="a second sending")
    assert all(batch.first_seq == 1 for batch in peer.batches)
    peer.mood = "answer"
    complete(peer, box)


def test_refusal_keeps_everything_and_says_why(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "refuse"
    box = make_box()
    box.count(3)
    wait_until(lambda: peer.status and "nobody knows you" in peer.status.problem, what="the reason in the status")
    assert box.outbox.pending == 3
    peer.mood = "answer"
    complete(peer, box)
    wait_until(lambda: peer.status and not peer.status.problem, what="the problem to be over")


def test_an_old_epoch_that_is_refused_for_ever_lets_the_others_pass(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "silent"
    box = make_box()
    spoilt = []
    for _ in range(3):
        box.count(4)
        box.outbox.flush()
        spoilt.append(box.outbox.epoch)
        box.stop()
        box.start()
    box.count(2)
    peer.spoilt = {spoilt[0]: "not_writable"}  # type: ignore[dict-item]
    peer.mood = "answer"
    wait_until(lambda: box.outbox.pending == 4, 20, "all but the spoilt epoch")
    assert sorted(peer.tracks) == list(range(5, 15))
    wait_until(lambda: peer.status and "1 earlier run(s)" in peer.status.problem, 20, "it to be said")
    assert peer.status is not None
    assert "not_writable" in peer.status.problem
    box.count(3)
    wait_until(lambda: box.outbox.pending == 4, 20, "today to go on")
    peer.spoilt = {}
    complete(peer, box)
    wait_until(lambda: peer.status and not peer.status.problem, 20, "the problem to be over")


def test_a_batch_of_today_that_is_refused_for_ever_does_not_stand_before_today(make_box: MakeBox, peer: Peer) -> None:
    box = make_box()
    assert box.outbox.epoch is not None
    spoilt = box.outbox.epoch
    peer.spoilt = {spoilt: "not_writable"}
    box.count(3)
    wait_until(lambda: box.outbox.epoch != spoilt, 20, "a new epoch")
    box.count(4)
    wait_until(lambda: sorted(peer.tracks) == [4, 5, 6, 7], 20, "today to go on")
    assert box.outbox.pending >= 3
    peer.spoilt = {}
    complete(peer, box)


def test_a_server_that_refuses_everything_is_not_answered_with_epochs_without_end(
    make_box: MakeBox, peer: Peer
) -> None:
    peer.refuses_all = "not_writable"
    box = make_box()
    box.count(3)
    wait_until(lambda: len(peer.batches) >= 40, 60, "many refusals")
    assert len(peer.epochs) <= 6
    peer.refuses_all = ""
    complete(peer, box)


def test_a_restored_server_gets_what_it_lost(make_box: MakeBox, peer: Peer) -> None:
    box = make_box()
    box.count(30)
    complete(peer, box)
    live = box.outbox.begin_epoch()
    box.count(3)
    complete(peer, box)
    for epoch in peer.epochs:
        peer.restore(epoch, 1)
    box.count(1)
    # The live epoch's next batch shows what happened; the finished one is then looked after too.
    wait_until(lambda: len(peer.tracks) == 34, 20, "the server to have everything again")
    complete(peer, box)
    assert live in peer.epochs


def test_an_ack_for_what_was_never_sent_changes_nothing(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "silent"
    box = make_box()
    box.count(5)
    batch = wait_until(lambda: peer.batches[-1] if peer.batches else None, what="a batch")
    assert batch is not None
    peer.say(DEVICE, Ack(epoch="f" * 32, seq=10**6))
    box.count(8)
    peer.say(DEVICE, Ack(epoch=batch.epoch, seq=10**6))
    wait_until(lambda: box.outbox.pending <= 13 - len(batch.records), what="the ack to be taken")
    # Only what was handed out can have been acknowledged: the rest is still owed.
    assert box.outbox.pending >= 13 - 10
    peer.mood = "answer"
    wait_until(box.drained, 20, "the outbox to drain")


def test_an_ack_from_before_a_restore_is_not_believed_after_it(make_box: MakeBox, peer: Peer) -> None:
    box = make_box()
    box.count(10)
    complete(peer, box)
    epoch, old = peer.batches[-1].epoch, peer.batches[-1].nonce
    peer.restore(epoch, 0)
    peer.mood = "silent"
    peer.say(DEVICE, Rewind(epoch=epoch, seq=1))
    again = wait_until(lambda: next((each for each in peer.batches[1:] if each.first_seq == 1), None), what="it again")
    assert again is not None
    assert again.nonce != old
    peer.say(DEVICE, Ack(epoch=epoch, seq=10, nonce=old))
    # What is said on one connection is heard in order: once this is, so was the ack.
    peer.say(DEVICE, Refusal(code="later", reason="heard by now", epoch="e" * 32))
    wait_until(lambda: peer.status and "heard by now" in peer.status.problem, what="the last word to be heard")
    assert box.outbox.pending == 10
    peer.mood = "answer"
    complete(peer, box)


def test_a_cut_and_a_stalled_link_lose_nothing(make_box: MakeBox, broker: EmbeddedBroker, peer: Peer) -> None:
    with Proxy(broker.host, broker.port) as proxy:
        box = make_box(proxy.port)
        box.count(5)
        complete(peer, box)
        proxy.cut()
        box.count(5)
        wait_until(lambda: not box.uplink.connected, what="the cut to be noticed")
        proxy.heal()
        complete(peer, box)
        proxy.stall()
        box.count(5)
        wait_until(lambda: not box.uplink.connected, 20, "the stall to be noticed")
        proxy.heal()
        proxy.reset()
        complete(peer, box)
        box.stop()


def test_a_long_backlog_becomes_an_epoch_of_its_own(make_box: MakeBox, broker: EmbeddedBroker, peer: Peer) -> None:
    with Proxy(broker.host, broker.port) as proxy:
        proxy.cut()
        box = make_box(proxy.port)
        born = box.outbox.epoch
        box.count(40)
        peer.mood = "silent"
        proxy.heal()
        wait_until(lambda: born in peer.epochs, what="the backlog's first batch")
        box.count(1)
        # With the backlog unanswered, today goes out beside it.
        wait_until(lambda: box.outbox.epoch in peer.epochs, what="today's batch")
        assert box.outbox.epoch != born
        peer.mood = "answer"
        complete(peer, box)
        box.stop()


def test_what_was_left_at_a_stop_goes_out_at_the_next_start(make_box: MakeBox, peer: Peer) -> None:
    peer.mood = "silent"
    box = make_box()
    # What waits before the first connection is a backlog, which would get an epoch of its own.
    wait_until(lambda: box.uplink.connected, 20, "the connection")
    box.count(15)
    wait_until(lambda: peer.batches, what="a batch")
    box.stop()
    peer.mood = "answer"
    box.start()
    box.count(5)
    complete(peer, box)
    assert len(peer.epochs) == 2


def test_a_killed_broker_loses_nothing(tmp_path: Path, broker: EmbeddedBroker, make_box: MakeBox) -> None:
    with Peer(broker.host, broker.port) as peer:
        peer.mood = "silent"  # everything PUBACKed, nothing committed
        box = make_box()
        box.count(12)
        wait_until(lambda: peer.batches, what="a batch")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        box.count(3)
        wait_until(lambda: not box.uplink.connected, what="the death to be noticed")
        port = broker.port
        broker.stop()
        again = EmbeddedBroker(
            tmp_path / "again", port, users={SERVER_USER: SERVER_PASSWORD, DEVICE: PASSWORD}, kind=broker.kind
        )
        with again:
            peer.mood = "answer"
            complete(peer, box)
            box.stop()


def test_a_wrong_password_is_said_and_tried_again(make_box: MakeBox, caplog: pytest.LogCaptureFixture) -> None:
    box = make_box(password="wrong")
    wait_until(lambda: "refused us" in caplog.text, what="the refusal in the log")
    assert not box.uplink.connected
    assert "wrong" not in caplog.text.replace("wrong password", "")


def test_every_broker_is_spoken_to_in_the_newest_version_it_knows(
    make_box: MakeBox, broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    box = make_box()
    wait_until(lambda: box.uplink.connected, 20, "the connection")
    wait_until(lambda: "connected (MQTT" in caplog.text, what="the log line")
    expected = "connected (MQTT 5)" if broker.kind == "mosquitto" else "connected (MQTT 3.1.1)"
    assert expected in caplog.text
