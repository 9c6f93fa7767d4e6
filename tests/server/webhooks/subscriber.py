"""Somebody who subscribed, and what happens meanwhile: what the tests of this folder are made of."""

import json
import threading
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from server import events
from server.events import NewEvent
from server.services import Services
from server.storage.sealing import Sealer
from server.webhooks.models import NewWebhook
from server.webhooks.posting import Webhooks
from server.webhooks.service import WebhookService
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM

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
