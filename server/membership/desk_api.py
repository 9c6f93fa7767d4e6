"""Routes of what stands beside a member: who looks after them, tags, notes, files, the card and its page.

A file is sent as it is, as the body, and its name stands in the address and not in a form, so that nothing of it is
kept on the server's disk on the way.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, cast
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership import pictures
from server.membership.care import Care
from server.membership.care_repository import TagCount
from server.membership.codes import SentCode
from server.membership.desk import MemberDesk
from server.membership.link_repository import Link
from server.membership.links import NewLink
from server.membership.models import Member
from server.membership.notes import Attachment, Note, Notebook

router = APIRouter(prefix="/api/v1", tags=["members"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
Leader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]


class _State(Protocol):
    members: MemberDesk


def _desk(request: Request) -> MemberDesk:
    return cast("_State", request.app.state.services).members


class CodeInput(Input):
    """Where a one-time code is to go."""

    phone: str = Field(max_length=60, description="As typed; without a country code it is of the store's country.")
    store_id: str = Field(max_length=32, description="Where the person stands.")


class AdvisorInput(Input):
    """Who is to look after a member."""

    advisor: str = Field(max_length=80, description="Empty: nobody.")
    reason: str = Field("", max_length=200)


class HandOverInput(Input):
    """Whose members go to whom."""

    leaving: str = Field(max_length=80)
    to: str = Field(max_length=80, description="Empty: nobody, for a manager to deal out.")
    reason: str = Field(max_length=200)
    store_id: str | None = Field(None, max_length=32, description="Only members whose home it is.")


class TagsInput(Input):
    """Tags to put on and to take off."""

    add: list[str] = Field(default_factory=list, max_length=30)
    remove: list[str] = Field(default_factory=list, max_length=30)


class NoteInput(Input):
    """A note, and who may read it."""

    text: str = Field(max_length=8000)
    audience: Literal["store", "hq"] = "store"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How many members were handed over."""

    members: int


@router.post("/member-codes", status_code=201, summary="Send a one-time code to a number")
def send_code(body: CodeInput, request: Request, scope: Reader) -> SentCode:
    """Send a code to whoever stands at the desk, to prove that a number is theirs. Few a number and hour."""
    return _desk(request).codes.request(scope, body.phone, body.store_id)


@router.get("/members/{member_id}/care", summary="Who looked after a member")
def care(member_id: UUID, request: Request, scope: Reader) -> Care:
    """The advisor, those of before, and everybody of the staff who served the member."""
    return _desk(request).care.care(scope, member_id)


@router.put("/members/{member_id}/advisor", summary="Let somebody look after a member")
def assign(member_id: UUID, body: AdvisorInput, request: Request, scope: Reader) -> Member:
    """From now on; who did before stays on record."""
    return _desk(request).care.assign(scope, member_id, body.advisor, body.reason)


@router.post("/member-advisors/hand-over", summary="Hand all of somebody's members over")
def hand_over(body: HandOverInput, request: Request, scope: Leader) -> HandedOver:
    """When staff leave: all their members at once, to somebody or to nobody."""
    return HandedOver(_desk(request).care.hand_over(scope, body.leaving, body.to, body.reason, body.store_id))


@router.post("/members/{member_id}/tags", summary="Put tags on a member, take others off")
def tag(member_id: UUID, body: TagsInput, request: Request, scope: Reader) -> Member:
    """A tag is one spelling for all: spaces and forms of characters are made one."""
    return _desk(request).care.tag(scope, member_id, body.add, body.remove)


@router.get("/member-tags", summary="Tags in use")
def tags(request: Request, scope: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> list[TagCount]:
    """Tags of members of your stores, those of most members first."""
    return _desk(request).care.tags(scope, limit)


@router.get("/members/{member_id}/notes", summary="Notes and files of a member")
def notebook(member_id: UUID, request: Request, scope: Reader) -> Notebook:
    """What your role may read, the newest first."""
    return _desk(request).notes.notebook(scope, member_id)


@router.post("/members/{member_id}/notes", status_code=201, summary="Note something")
def write(member_id: UUID, body: NoteInput, request: Request, scope: Reader) -> Note:
    """For whoever may see the member, or for headquarters alone."""
    return _desk(request).notes.write(scope, member_id, body.text, body.audience)


@router.delete("/members/{member_id}/notes/{note_id}", status_code=204, summary="Delete a note")
def delete_note(member_id: UUID, note_id: UUID, request: Request, scope: Reader) -> None:
    """One's own, or as manager or headquarters anybody's."""
    _desk(request).notes.delete_note(scope, member_id, note_id)


@router.post("/member-attachments", status_code=201, summary="Put a file beside a member")
def attach(
    request: Request,
    scope: Reader,
    body: Annotated[bytes, Body(media_type="application/octet-stream")],
    member: Annotated[UUID, Query(description="The member's id.")],
    name: Annotated[str, Query(max_length=255, description="As the sender calls it.")] = "file",
    audience: Annotated[Literal["store", "hq"], Query()] = "store",
) -> Attachment:
    """A picture (JPEG, PNG, WebP) or PDF of at most 5 MiB, as the body. What it is, is found in it."""
    return _desk(request).notes.attach(scope, member, name, body, audience)


@router.get(
    "/members/{member_id}/attachments/{attachment_id}",
    summary="A file",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file, to be saved."}},
)
def read_attachment(member_id: UUID, attachment_id: UUID, request: Request, scope: Reader) -> Response:
    """The file, always as a download. The look is in the audit trail."""
    found, content = _desk(request).notes.content(scope, member_id, attachment_id)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"}
    return Response(content, media_type=found.media_type, headers=headers)


@router.delete("/members/{member_id}/attachments/{attachment_id}", status_code=204, summary="Delete a file")
def delete_attachment(member_id: UUID, attachment_id: UUID, request: Request, scope: Reader) -> None:
    """One's own, or as manager or headquarters anybody's."""
    _desk(request).notes.delete_attachment(scope, member_id, attachment_id)


@router.get(
    "/members/{member_id}/card.svg",
    summary="A member's card, to print",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "In its true size, ID-1."}},
)
def card(
    member_id: UUID, request: Request, scope: Reader, title: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """The number and its QR code; `title` stands above, such as the chain's name. No name, no phone number."""
    found = _desk(request).membership.member(scope, member_id)
    return Response(pictures.card_svg(found.card_no, title), media_type="image/svg+xml")


@router.get(
    "/members/{member_id}/qr.png",
    summary="A member's QR code",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The card number as a QR code."}},
)
def qr(member_id: UUID, request: Request, scope: Reader) -> Response:
    """The ten digits of the card, as any scanner types them."""
    found = _desk(request).membership.member(scope, member_id)
    return Response(pictures.qr_png(found.card_no), media_type="image/png")


@router.get("/members/{member_id}/links", summary="A member's pages")
def links(member_id: UUID, request: Request, scope: Reader) -> list[Link]:
    """Pages with the member's card that open without signing in, open and closed."""
    return _desk(request).links.links(scope, member_id)


@router.post("/members/{member_id}/links", status_code=201, summary="Open a page with a member's card")
def open_link(member_id: UUID, request: Request, scope: Reader) -> NewLink:
    """`path` is shown this once; a page opened before is closed."""
    return _desk(request).links.open(scope, member_id)


@router.delete("/members/{member_id}/links/{link_id}", status_code=204, summary="Close a member's page")
def revoke_link(member_id: UUID, link_id: UUID, request: Request, scope: Reader) -> None:
    """From now on it shows nothing."""
    _desk(request).links.revoke(scope, member_id, link_id)
