"""Subscribing: what is kept of it, sealed, and who of headquarters may ask for it."""

import json
from collections.abc import Callable
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput
from server.services import Services
from server.storage.sealing import NotOurs, Sealer
from server.webhooks.service import WebhookService
from tests.server.conftest import SYSTEM
from tests.server.webhooks.subscriber import SEALER


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


def test_the_trail_has_the_host_of_an_address_and_no_token_in_it(chain: Services, hooks: WebhookService) -> None:
    hooks.add(SYSTEM, "http://127.0.0.1:9/services/T0KEN?key=T0KEN", ["receipt.recorded"])
    added = next(line for line in chain.access.audit_trail(SYSTEM, 5) if line.action == "webhook.added")
    assert added.detail == {"host": "127.0.0.1"}
