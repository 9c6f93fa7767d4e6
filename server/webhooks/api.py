"""Routes of webhooks."""

from typing import Annotated, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.webhooks.models import Delivery, DeliveryState, NewWebhook, Webhook
from server.webhooks.service import WebhookService

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

Chain = Annotated[Scope, Depends(require_role("hq", "admin"))]


class WebhookInput(Input):
    """An address that wants to be told."""

    url: str = Field(max_length=500)
    kinds: list[str] = Field(min_length=1, max_length=50)
    store_ids: list[str] | None = Field(default=None, min_length=1, max_length=10_000)
    note: str = Field(default="", max_length=200)


class _State(Protocol):
    webhooks: WebhookService


def _service(request: Request) -> WebhookService:
    return cast("_State", request.app.state.services).webhooks


@router.post("", status_code=201, summary="Subscribe an address")
def add(request: Request, scope: Chain, body: WebhookInput) -> NewWebhook:
    """Tell an address what happens from now on. The secret is shown in this answer and never again; each delivery bears
    `Doorline-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>` and the event's id, which is
    the same when it is sent again: what is told arrives at least once."""
    return _service(request).add(scope, body.url, body.kinds, store_ids=body.store_ids, note=body.note)


@router.get("", summary="Webhooks")
def webhooks(request: Request, scope: Chain) -> list[Webhook]:
    """Who is told, how each does, and which are paused and why."""
    return _service(request).all(scope)


@router.get("/{webhook_id}", summary="One webhook")
def one(request: Request, scope: Chain, webhook_id: UUID) -> Webhook:
    """One subscription."""
    return _service(request).one(scope, webhook_id)


@router.delete("/{webhook_id}", status_code=204, summary="End a webhook")
def end(request: Request, scope: Chain, webhook_id: UUID) -> Response:
    """Tell it nothing more; what still waits for it goes."""
    _service(request).end(scope, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/pause", summary="Pause a webhook")
def pause(request: Request, scope: Chain, webhook_id: UUID) -> Webhook:
    """Tell it nothing until it is resumed; what happens meanwhile waits."""
    return _service(request).pause(scope, webhook_id)


@router.post("/{webhook_id}/resume", summary="Resume a webhook")
def resume(request: Request, scope: Chain, webhook_id: UUID) -> Webhook:
    """Tell it again, beginning with what waits."""
    return _service(request).resume(scope, webhook_id)


@router.get("/{webhook_id}/deliveries", summary="Deliveries")
def deliveries(
    request: Request,
    scope: Chain,
    webhook_id: UUID,
    state: DeliveryState | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Delivery]:
    """What was and is to be delivered, the latest first; kept for 60 days."""
    return _service(request).deliveries(scope, webhook_id, state=state, before=before, limit=limit)


@router.post("/{webhook_id}/deliveries/{delivery_id}/send", status_code=204, summary="Send again")
def send_again(request: Request, scope: Chain, webhook_id: UUID, delivery_id: int) -> Response:
    """Let a delivery be tried again, whatever became of it."""
    _service(request).send_again(scope, webhook_id, delivery_id)
    return Response(status_code=204)
