"""Routes of ingest: what boxes post where a firewall blocks MQTT, and what was watched and what was not.

A posted batch goes the way of one from the broker, into the same service and transaction, so that copies of one batch
on both ways can race and be booked once. Who sends is found out before the body is read: a stranger's megabytes are
never taken in.
"""

from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Final, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import ClientDisconnect

from server.access.api import require_role
from server.access.models import Scope
from server.clock import Clock
from server.configs.service import ConfigService
from server.errors import InvalidInput
from server.ingest.ledger import GapLedger, Ledger
from server.ingest.models import Incoming
from server.ingest.posting import error_of, sending_device
from server.ingest.service import IngestService
from wire.messages import Batch, BatchReply, Refusal, Status, WireError, encode

router = APIRouter(prefix="/api/v1", tags=["ingest"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]

_json = msgspec.json.Encoder()


class _Known(msgspec.Struct):
    """Of a batch that was taken: the newest configuration its box knows of."""

    config_revision: int = 0


_known: Final = msgspec.json.Decoder(_Known)


class _State(Protocol):
    clock: Clock
    configs: ConfigService
    gaps: GapLedger
    ingest: IngestService


Sender = Annotated[str, Depends(sending_device)]


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        # Lines in shops break; nobody reads this answer, and the box sends it all again.
        raise InvalidInput("the body broke off", remedy="send it again") from error


def _inlined(kind: type) -> dict[str, Any]:
    """A message's JSON schema with nothing referred to elsewhere, for the API's description."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="{name}")

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                return resolved(parts[node["$ref"]])
            # Where it stands inline, a mapping of tags to names of schemas would name what is not there.
            return {key: resolved(value) for key, value in node.items() if key != "discriminator"}
        return [resolved(each) for each in node] if isinstance(node, list) else node

    found: dict[str, Any] = resolved(schema)
    return found


def _takes(kind: type) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(kind)}}}}


_REPLY: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Taken, or to be sent again from the number named.",
        "content": {"application/json": {"schema": _inlined(BatchReply)}},
    }
}


def _services(request: Request) -> _State:
    return cast("_State", request.app.state.services)


@router.post("/batches", summary="Post a batch of records", openapi_extra=_takes(Batch), responses=_REPLY)
def post_batch(request: Request, device: Sender, body: Annotated[bytes, Depends(_body)]) -> Response:
    """The same batch by the same rules as over MQTT, from a box that signs in with its name and password (HTTP Basic)
    or its client certificate. Answered after the commit; an error means that the box keeps everything."""
    services = _services(request)
    [answer] = services.ingest.take([Incoming(device, body, services.clock())])
    if isinstance(answer.reply, Refusal):
        raise error_of(answer.reply)
    config = services.configs.newer(device, than=_known.decode(body).config_revision)
    return Response(encode(BatchReply(reply=answer.reply, config=config)), media_type="application/json")


@router.put("/status", status_code=204, summary="A box's word about itself", openapi_extra=_takes(Status))
def put_status(request: Request, device: Sender, body: Annotated[bytes, Depends(_body)]) -> None:
    """What a box would keep retained on its status topic."""
    services = _services(request)
    try:
        services.ingest.note_status(device, body, services.clock())
    except WireError as error:
        raise InvalidInput(f"the status is not of the contract: {error}", remedy="see docs/asyncapi.yaml") from error


@router.get("/coverage", summary="What was measured, late, imputed and missing", response_model=Ledger)
def coverage(
    request: Request,
    scope: Reader,
    store_id: Annotated[str, Query(alias="store", max_length=32, description="The store.")],
    day_from: Annotated[date, Query(alias="from", description="First business day.")],
    day_to: Annotated[date, Query(alias="to", description="Last business day, included.")],
    gaps_only: Annotated[bool, Query(description="Leave out the quarter hours that were measured whole.")] = False,
) -> Response:
    """The gap ledger: per camera and quarter hour the seconds that were due within opening hours, in four columns that
    add up to them, and why they were not all measured in time; and what is lost for good, to the number."""
    found = _services(request).gaps.ledger(scope, store_id, day_from, day_to)
    if gaps_only:
        found = replace(found, quarters=tuple(row for row in found.quarters if row.is_gap))
    return Response(_json.encode(found), media_type="application/json")
