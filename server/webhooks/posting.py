"""From events to deliveries, and from deliveries to the subscribers' doors.

The two are apart, because what happens in the house must never wait for somebody outside. Events become deliveries in
one commit with the cursor; a delivery is posted outside of any transaction and noted afterwards. A process that dies in
between posts it again: a subscriber hears of everything at least once, and knows by the event's id what it has heard.

A subscriber that doesn't answer is tried less and less often, each at another moment, and paused in the end; it is not
given up: what happens waits for thirty days, and is told when somebody resumes it.
"""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event as Flag
from typing import Final

import msgspec
import structlog

from server import events
from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.events import Event
from server.storage.pool import Database
from server.storage.sealing import NotOurs, Sealer
from server.webhooks import repository
from server.webhooks.models import Due, Target, Webhook
from server.webhooks.sending import Outcome, Sender, signature
from server.webhooks.service import sealed_for

_log = structlog.get_logger(__name__)

CONSUMER: Final = "webhooks"
_TAKEN: Final = 500
#: Deliveries to one subscriber in one run, and subscribers at a time.
_MOST: Final = 200
_AT_ONCE: Final = 4
#: Back-off: so many seconds after the first failure, twice as many after each further one, up to the longest.
_FIRST: Final = 5.0
_LONGEST: Final = 3600.0
#: A subscriber that failed so often in a row, over about half a day, is paused.
PAUSE_AFTER: Final = 20
#: One delivery that fails while others arrive is given up after so many attempts.
GIVE_UP_AFTER: Final = 15
_GONE: Final = 410
_KEPT: Final = timedelta(days=30)


class Webhooks:
    """The job.

    Args:
        sealer: opens the secrets.
        dice: gives a number between 0 and 1, by which moments of trying again are spread.
    """

    def __init__(
        self,
        db: Database,
        sealer: Sealer,
        sender: Sender,
        clock: Clock = utc_now,
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._sealer = sealer
        self._sender = sender
        self._clock = clock
        self._dice = dice

    def run(self, stop: Flag) -> str | None:
        """Note what is to be delivered and deliver what is due; what was done, None when there was nothing.

        Raises:
            Unavailable: the database is away; what was noted is, and the next run goes on.
        """
        noted = 0
        while not stop.is_set() and (some := self.note()):
            noted += some
        told, failed = self.deliver(stop)
        with self._db.transaction() as conn:
            before = self._clock() - _KEPT
            lost = repository.give_up_old(conn, before, f"nobody took it in {_KEPT.days} days")
            repository.purge(conn, before - _KEPT, 10_000)
        if lost:
            _log.warning("deliveries given up: they waited too long for a paused webhook", deliveries=lost)
        if not noted and not told and not failed:
            return None
        return f"{noted} deliveries noted, {told} made, {failed} failed"

    def note(self) -> int:
        """Make deliveries of the next events; how many events were looked at."""
        now = self._clock()
        with self._db.transaction() as conn:
            hooks = repository.webhooks(conn)
            # Nobody who wants them: the events are passed over unread.
            kinds = {kind for hook in hooks for kind in hook.kinds}
            taken = events.take(conn, CONSUMER, kinds, _TAKEN)
            rows = [
                (hook.webhook_id, event.event_id, event.kind, event.store_id, event.subject, payload)
                for event in taken
                for payload in (_payload(event),)
                for hook in hooks
                if _is_meant(hook, event)
            ]
            if rows:
                repository.insert_deliveries(conn, rows, now)
        return len(taken)

    def deliver(self, stop: Flag) -> tuple[int, int]:
        """Deliver what is due; how many arrived and how many failed. A subscriber that is slow holds up no other."""
        with self._db.read() as conn:
            targets = repository.targets(conn, self._clock())
        if not targets:
            return 0, 0
        with ThreadPoolExecutor(min(_AT_ONCE, len(targets)), thread_name_prefix="webhook") as pool:
            ended = list(pool.map(lambda target: self._serve(target, stop), targets))
        return sum(told for told, _ in ended), sum(failed for _, failed in ended)

    def _serve(self, target: Target, stop: Flag) -> tuple[int, int]:
        """Deliver to one subscriber until something fails: it is not asked for more than one failure a time."""
        try:
            secret = self._sealer.open(sealed_for(target.webhook_id), target.secret_enc).decode()
        except NotOurs as error:
            self._pause(target, f"its secret can't be opened: {error.remedy}")
            return 0, 1
        told = 0
        with self._db.read() as conn:
            due = repository.due(conn, target.webhook_id, self._clock(), _MOST)
        for one in due:
            if stop.is_set():
                break
            outcome = self._sender.send(target.url, self._headers(one, secret), one.payload)
            if not outcome.is_done:
                self._note_failure(target, one, outcome, 0 if told else target.failures)
                return told, 1
            self._note_success(target, one, outcome)
            told += 1
        return told, 0

    def _headers(self, one: Due, secret: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "Doorline-Webhook/1",
            "Doorline-Event-Id": str(one.event_id),
            "Doorline-Event-Kind": one.kind,
            "Doorline-Signature": signature(secret, self._clock(), one.payload),
            "Connection": "close",
        }

    def _note_success(self, target: Target, one: Due, outcome: Outcome) -> None:
        now = self._clock()
        with self._db.transaction() as conn:
            repository.note_attempt(conn, one.delivery_id, "delivered", outcome.status, "", now, now)
            repository.note_success(conn, target.webhook_id)

    def _note_failure(self, target: Target, one: Due, outcome: Outcome, failures: int) -> None:
        now = self._clock()
        # Only when the subscriber takes others is it this delivery's own fault.
        is_lost = one.attempts + 1 >= GIVE_UP_AFTER and failures == 0
        with self._db.transaction() as conn:
            repository.note_attempt(
                conn,
                one.delivery_id,
                "given_up" if is_lost else "waiting",
                outcome.status,
                outcome.reason,
                self._later(now, one.attempts),
                now,
            )
            repository.note_failure(conn, target.webhook_id, self._later(now, failures), now)
        if outcome.status == _GONE:
            self._pause(target, "it answered 410: it wants no more")
        elif failures + 1 >= PAUSE_AFTER:
            self._pause(target, f"{failures + 1} deliveries failed in a row, the last: {outcome.reason}")

    def _later(self, now: datetime, failures: int) -> datetime:
        """When to try again: later each time, and never all at the same moment."""
        most = min(_LONGEST, _FIRST * 2.0 ** min(failures, 20))
        return now + timedelta(seconds=most * (0.5 + 0.5 * self._dice()))

    def _pause(self, target: Target, why: str) -> None:
        now = self._clock()
        with self._db.transaction() as conn:
            if repository.pause(conn, target.webhook_id, why, now):
                actor = Scope.system("webhooks").actor
                audit.record(conn, now, actor, "webhook.paused", subject=str(target.webhook_id), detail={"why": why})
        _log.warning("webhook paused", webhook_id=str(target.webhook_id), why=why)


def _is_meant(hook: Webhook, event: Event) -> bool:
    """Whether a subscriber wants an event; what happened before it subscribed is not its business."""
    if event.kind not in hook.kinds or event.at < hook.made_at:
        return False
    return hook.store_ids is None or event.store_id in hook.store_ids


def _payload(event: Event) -> bytes:
    return msgspec.json.encode(
        {
            "id": event.event_id,
            "kind": event.kind,
            "store_id": event.store_id,
            "subject": event.subject,
            "at": event.at.isoformat(),
            "body": event.body,
        }
    )
