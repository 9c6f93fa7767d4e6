"""A box that is really asked: over a real broker, an agent before rendered people, with nothing left on its disk."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.agent import Agent
from edge.scene import door_line
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.mqtt import BrokerAddress
from server.requests.exchange import Exchange, Heard
from server.requests.service import RequestService
from server.services import Services
from tests.edge.test_agent import DEVICE, FAST, PASSWORD, camera, load
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM
from wire import topics
from wire.asking import (
    Answer,
    Ask,
    AskLineTest,
    AskPaths,
    AskSnapshot,
    Given,
    LineTest,
    Paths,
    Request,
    Snapshot,
    Unable,
    decode_request,
)
from wire.config import LineConfig
from wire.messages import Status, encode
from wire.topics import Channel

LIVE = "scene:overhead?seed=3&rate=30&light=steady&size=192x144&fps=8"
DOOR = door_line("overhead")
LINE = LineConfig(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)
EVER = datetime(2000, 1, 1, tzinfo=UTC)
GIVEN = Unable(code="no_picture", reason="the lamp is out")


def address(broker: EmbeddedBroker, protocol: str = "") -> BrokerAddress:
    return BrokerAddress(
        broker.host,
        broker.port,
        SERVER_USER,
        SERVER_PASSWORD,
        protocol=protocol or broker.protocol,  # type: ignore[arg-type]
    )


def request(number: int, ask: Ask, *, within_s: float = 30) -> Request:
    return Request(device=DEVICE, id=f"{number:032x}", within_s=within_s, ask=ask)


def heard(broker: EmbeddedBroker, wanted: Request) -> Heard:
    return Exchange(address(broker)).ask(wanted, threading.Event())


# -- a box that is told what to say


def listen(client: Client) -> None:
    client.subscribe(topics.topic(DEVICE, Channel.REQUEST), 1)


@contextmanager
def speaker(broker: EmbeddedBroker, answers: Callable[[Request], list[bytes]]) -> Iterator[list[Request]]:
    """A box as far as requests go: what it says to each is a test's."""
    broker.add_user(DEVICE, PASSWORD)
    asked: list[Request] = []
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id=DEVICE)
    client.username_pw_set(DEVICE, PASSWORD)

    def told(_client: Client, _data: object, message: MQTTMessage) -> None:
        asked.append(decode_request(bytes(message.payload)))
        for payload in answers(asked[-1]):
            client.publish(topics.topic(DEVICE, Channel.REPLY), payload, qos=1)

    client.on_message = told
    client.on_connect = lambda *_: listen(client)
    client.on_subscribe = lambda *_: ready.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert ready.wait(10)
        yield asked
    finally:
        client.disconnect()
        client.loop_stop()


def test_of_all_a_box_says_only_the_answer_to_this_question_is_taken(broker: EmbeddedBroker) -> None:
    def answers(asked: Request) -> list[bytes]:
        mine = Answer(device=DEVICE, id=asked.id, given=GIVEN)
        other = Answer(device=DEVICE, id="f" * 32, given=Unable(code="failed", reason="to an earlier question"))
        wrong = Answer(device="door-2", id=asked.id, given=Unable(code="failed", reason="another box's"))
        again = Answer(device=DEVICE, id=asked.id, given=Unable(code="failed", reason="the second answer"))
        return [b"", b"{}", b"[" * 90_000, encode(other), encode(wrong), encode(mine), encode(again)]

    with speaker(broker, answers) as asked:
        found = heard(broker, request(1, AskSnapshot(camera="C1")))
    assert (found.outcome, found.given) == ("answered", GIVEN)
    assert asked == [request(1, AskSnapshot(camera="C1"))]


def test_a_box_that_says_nothing_is_not_waited_for_any_longer_than_was_said(broker: EmbeddedBroker) -> None:
    with speaker(broker, lambda _: []) as asked:
        assert heard(broker, request(1, AskSnapshot(camera="C1"), within_s=0.1)) == Heard("silent")
        wait_until(lambda: asked, what="the request")


def test_a_box_that_is_not_there_is_said_to_be_away_at_once(broker: EmbeddedBroker) -> None:
    """By its last word, or where there is none, and the broker can tell, by the broker's."""
    broker.add_user(DEVICE, PASSWORD)
    wanted = request(1, AskSnapshot(camera="C1"), within_s=60)
    if broker.protocol == "5":
        assert heard(broker, wanted) == Heard("absent")
    said = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id=DEVICE)
    client.username_pw_set(DEVICE, PASSWORD)
    client.on_publish = lambda *_: said.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topics.topic(DEVICE, Channel.STATUS), encode(Status(device=DEVICE, online=False)), 1, retain=True)
    assert said.wait(10)
    client.disconnect()
    client.loop_stop()
    assert heard(broker, wanted).outcome == "absent"


def test_a_broker_that_is_away_or_refuses_us_is_named(any_broker: EmbeddedBroker) -> None:
    wanted = request(1, AskSnapshot(camera="C1"))
    wrong = BrokerAddress(any_broker.host, any_broker.port, SERVER_USER, "wrong", protocol=any_broker.protocol)
    found = Exchange(wrong).ask(wanted, threading.Event())
    assert found.outcome == "no_broker"
    assert "refuses us" in found.reason
    any_broker.stop()
    found = heard(any_broker, wanted)
    assert found.outcome == "no_broker"
    assert found.reason


def test_a_broker_of_the_older_protocol_is_found_out(broker: EmbeddedBroker) -> None:
    exchange = Exchange(address(broker, "auto"))
    with speaker(broker, lambda asked: [encode(Answer(device=DEVICE, id=asked.id, given=GIVEN))]):
        for number in (1, 2):
            found = exchange.ask(request(number, AskSnapshot(camera="C1")), threading.Event())
            assert (found.outcome, found.given) == ("answered", GIVEN)


# -- a whole box


@contextmanager
def box(folder: Path, broker: EmbeddedBroker, *cameras: str) -> Iterator[Agent]:
    """An agent before rendered people, as long as the block lasts."""
    broker.add_user(DEVICE, PASSWORD)
    agent = Agent(load(folder, broker.port, *cameras), backoff=FAST)
    stop = threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: agent.uplink.connected, 30, "the box to connect")
        yield agent
    finally:
        stop.set()
        thread.join(20)


def watched(agent: Agent, seconds: float) -> None:
    """Until the first camera remembers so much."""

    def remembers() -> bool:
        recent = agent.workers[0].memory.recent(60)
        return recent is not None and recent.seconds >= seconds

    wait_until(remembers, 60, f"{seconds:g} s to be remembered")


def test_a_box_shows_what_it_sees_where_people_walked_and_what_a_line_would_count(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    undrawn = camera(2, LIVE, starts_at=None).partition("[[camera.line]]")[0]
    with box(tmp_path, broker, camera(1, LIVE, starts_at=None), undrawn) as agent:
        watched(agent, 6)

        def ask(number: int, wanted: Ask) -> Given:
            found = heard(broker, request(number, wanted))
            assert found.outcome == "answered", found
            assert found.given is not None
            return found.given

        taken = ask(1, AskSnapshot(camera="C1", width=160))
        assert isinstance(taken, Snapshot)
        assert (taken.width, taken.height) == (160, 120)
        assert taken.at is not None
        picture = cv2.imdecode(np.frombuffer(taken.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (120, 160, 3)

        walked = ask(2, AskPaths(camera="C1"))
        assert isinstance(walked, Paths)
        assert walked.seconds >= 6
        assert walked.paths

        tried = ask(3, AskLineTest(camera="C1", line=LINE))
        assert isinstance(tried, LineTest)
        assert tried.people > 0
        assert len(tried.crossings) == tried.entries + tried.exits

        bad = ask(4, AskLineTest(camera="C1", line=LineConfig(id="L9", start=(0.1, 0.5), inside=(0.5, 0.9))))
        assert isinstance(bad, Unable)
        assert bad.code == "bad_line"
        assert "L9.end: is missing" in bad.reason
        unknown = ask(5, AskSnapshot(camera="C9"))
        assert unknown == Unable(code="unknown_camera", reason="this box has no camera C9; it has: C1, C2")

        # A camera that nothing is drawn for yet is not watched; but lines are drawn on a picture of it.
        first = ask(6, AskSnapshot(camera="C2", width=160))
        assert isinstance(first, Snapshot)
        assert first.width == 160
        number = iter(range(7, 1000))

        def tried_first() -> LineTest | None:
            """Over those who walk before it, as soon as there are any."""
            found = ask(next(number), AskLineTest(camera="C2", line=LINE))
            assert isinstance(found, LineTest)
            return found if found.people and found.seconds > 2 else None

        wait_until(tried_first, 60, "people before a camera that nothing is drawn for")
        assert agent.outbox.crossings("C2", EVER) == []
        assert agent.workers[1].status.state == "offline", "it would read as an empty shop"
        assert "no line is given" in agent.workers[1].status.message
    left_on_disk(tmp_path, taken.jpeg)


def left_on_disk(folder: Path, jpeg: bytes) -> None:
    """Only what a box has to keep; no picture among it, nor any path."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    files = {name: content for name, content in files.items() if not name.startswith("outbox.sqlite-")}
    assert set(files) <= {
        "edge.toml",
        "outbox.sqlite",
        "outbox.sqlite.owed",
        "outbox.sqlite.unwritten",
        "outbox.sqlite.config",
        "broker.log",
    }
    for content in files.values():
        assert b"\xff\xd8\xff" not in content
        assert jpeg not in content
        assert b'"points"' not in content


def test_a_box_answers_the_same_question_once_and_a_new_start_has_forgotten_it(
    tmp_path: Path, any_broker: EmbeddedBroker
) -> None:
    first, other = request(1, AskPaths(camera="C1")), request(2, AskPaths(camera="C1"))
    again = request(1, AskPaths(camera="C1"), within_s=1)
    with box(tmp_path, any_broker, camera(1, LIVE, starts_at=None)) as agent:
        watched(agent, 0.5)
        assert heard(any_broker, first).outcome == "answered"
        assert heard(any_broker, again).outcome == "silent"
        assert heard(any_broker, other).outcome == "answered"
    with box(tmp_path, any_broker, camera(1, LIVE, starts_at=None)) as agent:
        watched(agent, 0.5)
        assert heard(any_broker, first).outcome == "answered"


def test_a_camera_that_gives_no_pictures_says_so(tmp_path: Path, any_broker: EmbeddedBroker) -> None:
    with box(tmp_path, any_broker, camera(1, "/nowhere/door.mp4", starts_at=None)) as agent:
        wait_until(lambda: "no file" in agent.workers[0].status.message, what="the camera's trouble")
        found = heard(any_broker, request(1, AskSnapshot(camera="C1")))
        assert isinstance(found.given, Unable)
        assert found.given.code == "no_picture"
        assert "There is no file /nowhere/door.mp4" in found.given.reason


def test_from_who_asks_to_the_picture(tmp_path: Path, any_broker: EmbeddedBroker, chain: Services) -> None:
    """The whole way: the server's rules, the broker, the box, and back into the database for some minutes."""
    chain.stores.add_device(SYSTEM, "S01", DEVICE)
    requests = RequestService(chain.db, Exchange(address(any_broker)))
    try:
        with box(tmp_path, any_broker, camera(1, LIVE, starts_at=None)) as agent:
            watched(agent, 0.5)
            asked = requests.ask(SYSTEM, DEVICE, AskSnapshot(camera="C1", width=160))
            wait_until(lambda: requests.read(SYSTEM, asked.request_id).given, 30, "an answer")
            picture = requests.picture(SYSTEM, asked.request_id)
            assert (picture.width, picture.jpeg[:2]) == (160, b"\xff\xd8")
        gone = requests.ask(SYSTEM, DEVICE, AskSnapshot(camera="C1", width=160))
        given = wait_until(lambda: requests.read(SYSTEM, gone.request_id).given, 30, "an answer")
        assert isinstance(given, Unable)
        assert given.code == "absent"
    finally:
        requests.close()
