"""Subscriptions: made with a secret that is shown once, looked at, paused, resumed and ended."""

import base64
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.storage.pool import Database
from server.storage.sealing import Sealer
from server.webhooks import repository
from server.webhooks.addresses import Barred
from server.webhooks.models import KINDS, Delivery, DeliveryState, NewWebhook, Webhook
from server.webhooks.sending import Sender

_MOST: Final = 100


class WebhookService:
    """Subscriptions of the whole chain.

    Args:
        sealer: for the secrets.
        sender: knows where deliveries may go.
    """

    def __init__(self, db: Database, sealer: Sealer, sender: Sender, clock: Clock = utc_now) -> None:
        self._db = db
        self._sealer = sealer
        self._sender = sender
        self._clock = clock

    def add(
        self,
        scope: Scope,
        url: str,
        kinds: Sequence[str],
        *,
        store_ids: Sequence[str] | None = None,
        note: str = "",
    ) -> NewWebhook:
        """Subscribe an address to what happens from now on.

        Args:
            kinds: of events; `KINDS` has them all.
            store_ids: only events of these stores; None: all, and what belongs to no store.

        Raises:
            Forbidden: it is for the whole chain.
            InvalidInput: an address deliveries may not go to, or a kind there isn't.
        """
        _require(scope)
        wanted = sorted(set(kinds))
        strange = [kind for kind in wanted if kind not in KINDS]
        if strange or not wanted:
            raise InvalidInput(
                f"there is no kind {', '.join(strange)}" if strange else "no kind of event is named",
                field="kinds",
                remedy=f"use some of {', '.join(KINDS)}",
            )
        if len(note) > 200 or not note.isprintable():
            raise InvalidInput("the note is too long or has odd characters", field="note", remedy="use 200 characters")
        try:
            self._sender.check(url)
        except Barred as error:
            raise InvalidInput(str(error), field="url", remedy="use https to an address of the open network") from error
        except OSError as error:
            raise InvalidInput(
                f"the address can't be resolved: {error}", field="url", remedy="check the host's name"
            ) from error
        now = self._clock()
        # Chat tools have their token in the path or the query; nothing is ever taken out of the trail.
        host = urlsplit(url).hostname or ""
        secret = "whsec_" + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        made = Webhook(
            webhook_id=uuid4(),
            url=url,
            kinds=wanted,
            store_ids=None if store_ids is None else sorted(set(store_ids)),
            note=note,
            made_by=scope.actor,
            made_at=now,
            failures=0,
            failing_since=None,
            retry_at=None,
            paused_at=None,
            paused_why="",
            waiting=0,
        )
        with self._db.transaction() as conn:
            if len(repository.webhooks(conn)) >= _MOST:
                raise InvalidInput(f"there are {_MOST} webhooks already", field="url", remedy="end one first")
            repository.insert(conn, made, self._sealer.seal(sealed_for(made.webhook_id), secret.encode()))
            audit.record(conn, now, scope.actor, "webhook.added", subject=str(made.webhook_id), detail={"host": host})
        return NewWebhook(made, secret)

    def all(self, scope: Scope) -> list[Webhook]:
        """Subscriptions that have not ended, the oldest first."""
        _require(scope)
        with self._db.read() as conn:
            return repository.webhooks(conn)

    def one(self, scope: Scope, webhook_id: UUID) -> Webhook:
        """One of them.

        Raises:
            NotFound: there is none, or it has ended.
        """
        _require(scope)
        with self._db.read() as conn:
            found = repository.webhook(conn, webhook_id)
        if found is None:
            raise NotFound(f"no webhook {webhook_id}", field="webhook_id", remedy="see the list of webhooks")
        return found

    def end(self, scope: Scope, webhook_id: UUID) -> None:
        """Tell a subscriber nothing more; what still waits for it goes.

        Raises:
            NotFound: as `one`.
        """
        self.one(scope, webhook_id)
        now = self._clock()
        with self._db.transaction() as conn:
            repository.end(conn, webhook_id, now)
            audit.record(conn, now, scope.actor, "webhook.ended", subject=str(webhook_id))

    def pause(self, scope: Scope, webhook_id: UUID) -> Webhook:
        """Tell a subscriber nothing until it is resumed; what happens meanwhile waits.

        Raises:
            NotFound: as `one`.
        """
        self.one(scope, webhook_id)
        now = self._clock()
        with self._db.transaction() as conn:
            if repository.pause(conn, webhook_id, f"paused by {scope.actor}", now):
                audit.record(conn, now, scope.actor, "webhook.paused", subject=str(webhook_id))
        return self.one(scope, webhook_id)

    def resume(self, scope: Scope, webhook_id: UUID) -> Webhook:
        """Tell a subscriber again, beginning with what waits.

        Raises:
            NotFound: as `one`.
        """
        found = self.one(scope, webhook_id)
        now = self._clock()
        with self._db.transaction() as conn:
            repository.resume(conn, webhook_id, now)
            audit.record(conn, now, scope.actor, "webhook.resumed", subject=str(webhook_id))
        return replace(found, failures=0, failing_since=None, retry_at=None, paused_at=None, paused_why="")

    def deliveries(
        self,
        scope: Scope,
        webhook_id: UUID,
        *,
        state: DeliveryState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """What was and is to be delivered to a subscriber, the latest first.

        Args:
            before: only ids below this one, for the next page.

        Raises:
            NotFound: as `one`.
        """
        self.one(scope, webhook_id)
        with self._db.read() as conn:
            return repository.deliveries(conn, webhook_id, state, before, limit)

    def send_again(self, scope: Scope, webhook_id: UUID, delivery_id: int) -> None:
        """Let a delivery be tried again, whatever became of it; the event's id stays the same.

        Raises:
            NotFound: as `one`, or there is no such delivery any more.
        """
        self.one(scope, webhook_id)
        now = self._clock()
        with self._db.transaction() as conn:
            if not repository.send_again(conn, webhook_id, delivery_id, now):
                raise NotFound(f"no delivery {delivery_id}", field="delivery_id", remedy="see the webhook's deliveries")
            audit.record(
                conn,
                now,
                scope.actor,
                "webhook.sent_again",
                subject=str(webhook_id),
                detail={"delivery_id": delivery_id},
            )


def sealed_for(webhook_id: UUID) -> str:
    """What a secret is bound to."""
    return f"webhook/{webhook_id}"


def _require(scope: Scope) -> None:
    scope.require_role("hq", "admin")
    scope.require_whole_chain()
