"""Whoever subscribed is told, signed and at least once; a door inside the house is never knocked at."""

import hmac
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from server import events
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.events import NewEvent
from server.services import Services
from server.storage.sealing import NotOurs, Sealer
from server.webhooks.addresses import Barred, Endpoint, endpoint_of, networks_of, pinned
from server.webhooks.models import NewWebhook
from server.webhooks.posting import GIVE_UP_AFTER, PAUSE_AFTER, Webhooks
from server.webhooks.sending import Sender, signature
from server.webhooks.service import WebhookService
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock

HERE = (ip_network("127.0.0.0/8"),)
SEALER = Sealer([("key", b"k" * 32)])


@dataclass
class Subscriber:
    """A web server that notes what it is told, and answers as it is asked to."""

    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refuses: bytes = b"nothing"
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=1"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    noted = Subscriber()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            noted.heard.append((dict(self.headers), body))
            status = noted.answers.pop(0) if noted.answers else 422 if noted.refuses in body else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/inside")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield noted
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hooks(chain: Services, clock: TurnedClock) -> WebhookService:
    return WebhookService(chain.db, SEALER, Sender(HERE), clock)


@pytest.fixture
def job(chain: Services, clock: TurnedClock) -> Webhooks:
    return Webhooks(chain.db, SEALER, Sender(HERE), clock, dice=lambda: 1.0)


def subscribe(chain: Services, hooks: WebhookService, url: str, *kinds: str, **more: Any) -> NewWebhook:
    made = hooks.add(SYSTEM, url, kinds or ("receipt.recorded",), **more)
    with chain.db.transaction() as conn:
        # The clock of these tests stands elsewhere than the database's, which dates events.
        conn.execute("UPDATE webhook SET made_at = now() - interval '1 hour' WHERE url = %s", (url,))
    return made


def tell(chain: Services, *numbers: str, kind: str = "receipt.recorded", store: str | None = "S01") -> None:
    with chain.db.transaction() as conn:
        events.record_all(conn, [NewEvent(kind, store, f"{store}/{number}", {"gross": "1.50"}) for number in numbers])


def noted(job: Webhooks, count: int) -> None:
    """Make deliveries of so many events; others' transactions may hold them back for a moment."""
    seen = [0]

    def enough() -> bool:
        seen[0] += job.note()
        return seen[0] >= count

    wait_until(enough, what=f"{count} events")


def deliver(job: Webhooks) -> tuple[int, int]:
    return job.deliver(threading.Event())


def test_what_happens_is_told_signed_and_once_when_all_goes_well(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber, clock: TurnedClock
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    tell(chain, "R1", "R2")
    tell(chain, "M1", kind="member.enrolled", store=None)
    noted(job, 2)
    assert deliver(job) == (2, 0)
    assert deliver(job) == (0, 0)
    assert [body["subject"] for body in subscriber.bodies()] == ["S01/R1", "S01/R2"]
    headers, body = subscriber.heard[0]
    told = json.loads(body)
    assert (told["kind"], told["store_id"], told["body"]) == ("receipt.recorded", "S01", {"gross": "1.50"})
    assert headers["Doorline-Event-Id"] == str(told["id"])
    stamp, _, digest = headers["Doorline-Signature"].partition(",v1=")
    assert stamp == f"t={int(clock().timestamp())}"
    signed = stamp.removeprefix("t=").encode() + b"." + body
    assert hmac.new(made.secret.encode(), signed, "sha256").hexdigest() == digest
    states = [each.state for each in hooks.deliveries(SYSTEM, made.webhook.webhook_id)]
    assert states == ["delivered", "delivered"]


def test_only_what_was_asked_for_of_the_stores_asked_for(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber
) -> None:
    subscribe(chain, hooks, subscriber.url, "receipt.recorded", "member.enrolled", store_ids=["S02"])
    tell(chain, "R1")
    tell(chain, "R2", store="S02")
    tell(chain, "M1", kind="member.enrolled", store=None)
    noted(job, 3)
    assert deliver(job) == (1, 0)
    assert subscriber.bodies()[0]["subject"] == "S02/R2"


def test_what_fails_is_tried_again_later_and_later_with_the_same_id(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber, clock: TurnedClock
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    subscriber.answers = [500, 302, 200]
    tell(chain, "R1")
    noted(job, 1)
    assert deliver(job) == (0, 1)
    assert deliver(job) == (0, 0), "not at once"
    clock.turn(seconds=5)
    assert deliver(job) == (0, 1)
    (delivery,) = hooks.deliveries(SYSTEM, made.webhook.webhook_id)
    assert (delivery.state, delivery.attempts, delivery.status) == ("waiting", 2, 302)
    assert "not followed" in delivery.reason
    assert delivery.due_at == clock() + timedelta(seconds=10)
    assert hooks.one(SYSTEM, made.webhook.webhook_id).failures == 2
    clock.turn(seconds=9)
    assert deliver(job) == (0, 0)
    clock.turn(seconds=1)
    assert deliver(job) == (1, 0)
    assert len({headers["Doorline-Event-Id"] for headers, _ in subscriber.heard}) == 1
    assert hooks.one(SYSTEM, made.webhook.webhook_id).failures == 0


def test_a_dead_subscriber_is_paused_and_said_and_hears_all_when_resumed(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber, clock: TurnedClock
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    hook_id = made.webhook.webhook_id
    subscriber.answers = [503] * PAUSE_AFTER
    tell(chain, "R1", "R2")
    noted(job, 2)
    for _ in range(PAUSE_AFTER):
        assert deliver(job) == (0, 1), "one knock a time, however much waits"
        clock.turn(hours=1)
    assert deliver(job) == (0, 0)
    paused = hooks.one(SYSTEM, hook_id)
    assert paused.paused_at is not None
    assert "20 deliveries failed in a row" in paused.paused_why
    assert paused.waiting == 2
    assert chain.access.audit_trail(SYSTEM, 1)[0].action == "webhook.paused"
    tell(chain, "R3")
    noted(job, 1)
    hooks.resume(SYSTEM, hook_id)
    assert deliver(job) == (3, 0)
    assert {body["subject"] for body in subscriber.bodies()} == {"S01/R1", "S01/R2", "S01/R3"}


def test_one_that_is_gone_is_paused_at_once(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    subscriber.answers = [410]
    tell(chain, "R1")
    noted(job, 1)
    deliver(job)
    assert "410" in hooks.one(SYSTEM, made.webhook.webhook_id).paused_why


def test_a_delivery_nobody_can_take_holds_up_no_other(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber, clock: TurnedClock
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    subscriber.refuses = b"S01/bad"
    tell(chain, "bad")
    noted(job, 1)
    for number in range(GIVE_UP_AFTER):
        tell(chain, f"good-{number}")
        noted(job, 1)
        told, failed = deliver(job)
        assert (told > 0, failed) == (number > 0, 1), "what was never tried comes first"
        clock.turn(hours=2)
    left = hooks.deliveries(SYSTEM, made.webhook.webhook_id, state="given_up")
    assert [(each.subject, each.attempts, each.status) for each in left] == [("S01/bad", GIVE_UP_AFTER, 422)]
    assert hooks.one(SYSTEM, made.webhook.webhook_id).paused_at is None
    assert deliver(job) == (0, 0)


def test_a_delivery_can_be_sent_again(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber
) -> None:
    made = subscribe(chain, hooks, subscriber.url)
    tell(chain, "R1")
    noted(job, 1)
    deliver(job)
    (delivery,) = hooks.deliveries(SYSTEM, made.webhook.webhook_id)
    hooks.send_again(SYSTEM, made.webhook.webhook_id, delivery.delivery_id)
    assert deliver(job) == (1, 0)
    assert len(subscriber.heard) == 2
    with pytest.raises(NotFound):
        hooks.send_again(SYSTEM, made.webhook.webhook_id, 999_999)


def test_what_happened_before_it_subscribed_is_not_its_business(
    chain: Services, hooks: WebhookService, job: Webhooks, subscriber: Subscriber
) -> None:
    tell(chain, "before")
    subscribe(chain, hooks, subscriber.url)
    with chain.db.transaction() as conn:
        conn.execute("UPDATE webhook SET made_at = now() + interval '1 second'")
    noted(job, 1)
    assert deliver(job) == (0, 0)


def test_with_nobody_subscribed_events_are_passed_unread(chain: Services, job: Webhooks) -> None:
    tell(chain, "R1")

    def has_passed() -> bool:
        job.note()
        with chain.db.read() as conn:
            return [lag.oldest for lag in events.lags(conn)] == [None]

    wait_until(has_passed, what="the event to be passed")
    assert job.run(threading.Event()) is None


def test_a_process_that_dies_after_sending_sends_again(
    chain: Services, hooks: WebhookService, subscriber: Subscriber, clock: TurnedClock
) -> None:
    class Dies(Sender):
        def send(self, url: str, headers: dict[str, str], body: bytes) -> Any:
            super().send(url, headers, body)
            raise KeyboardInterrupt

    subscribe(chain, hooks, subscriber.url)
    tell(chain, "R1")
    dying = Webhooks(chain.db, SEALER, Dies(HERE), clock)
    noted(dying, 1)
    with pytest.raises(KeyboardInterrupt):
        deliver(dying)
    assert deliver(Webhooks(chain.db, SEALER, Sender(HERE), clock)) == (1, 0)
    assert len({headers["Doorline-Event-Id"] for headers, _ in subscriber.heard}) == 1
    assert len(subscriber.heard) == 2


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.5",
        "192.168.1.1",
        "172.16.3.4",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.5",
        "::10.0.0.5",
        "64:ff9b::a00:5",
        "2002:a00:5::1",
    ],
)
def test_a_name_that_leads_into_the_house_is_barred(address: str) -> None:
    endpoint = Endpoint("https", "hooks.example.com", 443, "/")
    with pytest.raises(Barred, match=r"hooks\.example\.com"):
        pinned(endpoint, (), lambda _host, _port: [address])
    with pytest.raises(Barred):
        pinned(endpoint, (), lambda _host, _port: ["93.184.215.14", address])


def test_addresses_of_the_open_network_are_taken_over_tls_only() -> None:
    def outside(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]

    assert pinned(Endpoint("https", "example.com", 443, "/"), (), outside) == "93.184.215.14"
    with pytest.raises(Barred, match="not https"):
        pinned(Endpoint("http", "example.com", 80, "/"), (), outside)
    allowed = networks_of("10.20.0.0/16, fd00::/8")
    assert pinned(Endpoint("http", "crm", 80, "/"), allowed, lambda *_: ["10.20.1.2"]) == "10.20.1.2"
    with pytest.raises(Barred):
        pinned(Endpoint("http", "crm", 80, "/"), allowed, lambda *_: ["10.21.1.2"])


def test_a_name_that_changes_its_mind_after_the_check_is_never_connected_to(subscriber: Subscriber) -> None:
    """The second question of a name leads inside: the address that is connected to is the one that was looked at."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["127.0.0.1"]

    sender = Sender((), rebinding)
    url = f"https://rebind.example.com:{subscriber.port}/"
    sender.check(url)
    outcome = sender.send(url, {}, b"{}")
    assert not outcome.is_done
    assert "127.0.0.1" in outcome.reason
    assert subscriber.heard == []


def test_the_pinned_address_is_asked_under_the_name(subscriber: Subscriber) -> None:
    sender = Sender(HERE, lambda _host, _port: ["127.0.0.1"])
    outcome = sender.send(f"http://crm.example.com:{subscriber.port}/x", {}, b"{}")
    assert outcome.is_done
    assert subscriber.heard[0][0]["Host"] == f"crm.example.com:{subscriber.port}"


def test_a_subscriber_that_never_answers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.webhooks.sending._STEP", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = Sender(HERE).send(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
    assert not outcome.is_done
    assert outcome.status is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "https://",
        "https://user:pw@x/",
        "https://x/#a",
        "https://x:99999/",
        "https://x/ y",
        "https://ü/",
        "x",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        endpoint_of(url)
    assert refused.value.field == "url"


def test_a_signature_is_bound_to_its_moment(clock: TurnedClock) -> None:
    first = signature("secret", clock(), b"{}")
    clock.turn(seconds=1)
    assert signature("secret", clock(), b"{}") != first


def test_a_secret_is_kept_sealed_and_opens_for_its_own_webhook_only(chain: Services, hooks: WebhookService) -> None:
    made = hooks.add(SYSTEM, "http://127.0.0.1:9/", ["tier.changed"])
    with chain.db.read() as conn:
        (sealed,) = conn.execute("SELECT secret_enc FROM webhook").fetchone() or (b"",)
    assert made.secret.encode() not in sealed
    assert SEALER.open(f"webhook/{made.webhook.webhook_id}", sealed).decode() == made.secret
    with pytest.raises(NotOurs):
        SEALER.open(f"webhook/{UUID(int=0)}", sealed)
    rotated = Sealer([("new", b"n" * 32), ("key", b"k" * 32)])
    assert rotated.open(f"webhook/{made.webhook.webhook_id}", sealed).decode() == made.secret


def test_webhooks_are_the_whole_chains(
    hooks: WebhookService, scope_of: Callable[[str], Scope], sign_in: Callable[[str], TestClient]
) -> None:
    with pytest.raises(Forbidden):
        hooks.all(scope_of("manager"))
    with pytest.raises(InvalidInput, match="no kind"):
        hooks.add(SYSTEM, "http://127.0.0.1:9/", ["receipt.eaten"])
    hq = sign_in("hq")
    inside = hq.post("/api/v1/webhooks", json={"url": "https://127.0.0.1/", "kinds": ["tier.changed"]})
    assert (inside.status_code, inside.json()["error"]["field"]) == (422, "url")
    made = hooks.add(SYSTEM, "http://127.0.0.1:9/", ["tier.changed"], note="CRM")
    (shown,) = hq.get("/api/v1/webhooks").json()
    assert (shown["note"], "secret" in json.dumps(shown)) == ("CRM", False)
    path = f"/api/v1/webhooks/{made.webhook.webhook_id}"
    assert hq.post(f"{path}/pause").json()["paused_why"] == "paused by hq"
    assert hq.post(f"{path}/resume").json()["paused_at"] is None
    assert hq.get(f"{path}/deliveries").json() == []
    assert hq.post(f"{path}/deliveries/7/send").status_code == 404
    assert hq.delete(path).status_code == 204
    assert hq.get(path).status_code == 404
