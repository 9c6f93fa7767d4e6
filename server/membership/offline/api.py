"""The route by which a desk's browser hands in what it wrote down while its network was away."""

import base64
from typing import Annotated, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.inputs import Input
from server.membership.offline.models import Kind, SealedItem, Taken
from server.membership.offline.service import OfflineDesk

router = APIRouter(prefix="/api/v1/desk", tags=["members"])

Desk = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
#: A form with many long answers to the chain's own fields, sealed and in base64.
_LONGEST = 65536


class _State(Protocol):
    offline_desk: OfflineDesk


class ItemInput(Input):
    """One thing that was done at a desk without a network, sealed to this server."""

    item_id: UUID
    user_id: str = Field(max_length=64, description="Who made it; nobody else may send it.")
    kind: Kind
    made_at: str = Field(max_length=40, description="ISO 8601 with a zone, by the browser's clock.")
    key_id: str = Field(max_length=32)
    sealed: str = Field(max_length=_LONGEST, description="Base64: version, point, nonce, ciphertext.")


@router.post("/items", summary="Hand in what a desk did offline")
def take(body: ItemInput, request: Request, scope: Desk) -> Taken:
    """Do it, once: the same item sent again is answered with what came of it the first time."""
    try:
        sealed = base64.b64decode(body.sealed, validate=True)
    # Not `binascii.Error` alone, which is one of these: text beyond ASCII is refused by another.
    except ValueError as error:
        raise InvalidInput("this is no base64", field="sealed") from error
    item = SealedItem(body.item_id, body.user_id, body.kind, body.made_at, body.key_id, sealed)
    return cast("_State", request.app.state.services).offline_desk.take(scope, item)
