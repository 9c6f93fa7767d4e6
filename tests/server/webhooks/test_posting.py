"""Whoever subscribed is told, signed and at least once, and nobody who fails holds up another."""

import hmac
import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from server import events
from server.errors import NotFound
from server.services import Services
from server.webhooks.posting import GIVE_UP_AFTER, PAUSE_AFTER, Webhooks
from server.webhooks.sending import Sender
from server.webhooks.service import WebhookService
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.webhooks.subscriber import HERE, SEALER, Subscriber, deliver, noted, subscribe, tell


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
