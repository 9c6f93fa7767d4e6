"""Routes of members. A full phone number is in no answer but that of the reveal, which is in the audit trail.

Searching is a POST as well as a GET: what stands in an address stands in every proxy's log, so programs that look for
people by number should send it in the body.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import require_role
from server.access.models import Scope
from server.inputs import Input
from server.membership.changing import Change
from server.membership.desk import MemberDesk
from server.membership.fields import Given
from server.membership.models import Member, MemberSummary, NewConsent, NewMember, Proof, Purpose, Reach
from server.membership.service import MembershipService

router = APIRouter(prefix="/api/v1/members", tags=["members"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]


class _State(Protocol):
    membership: MembershipService
    members: MemberDesk


def _service(request: Request) -> MembershipService:
    return cast("_State", request.app.state.services).membership


class ConsentInput(Input):
    """What was asked, in the words that were shown, and what was answered."""

    purpose: Purpose
    granted: bool
    wording: str = Field(max_length=2000)
    channel: str = Field("desk", max_length=50, description="Where it was answered.")
    reach: Reach = Field("", description="The way it is about; empty is about all ways.")
    version: str = Field("", max_length=40, description="Of the wording.")


class ProofInput(Input):
    """That the person holds the number: the code that was sent there."""

    code_id: UUID
    code: str = Field(min_length=4, max_length=12)

    def proof(self) -> Proof:
        """For the services."""
        return Proof(self.code_id, self.code)


class MemberInput(Input):
    """A person to be enrolled."""

    name: str = Field(max_length=200)
    phone: str = Field(max_length=60, description="As typed; without a country code it is of the store's country.")
    home_store: str = Field(max_length=32)
    consents: list[ConsentInput] = Field(max_length=10, description="Membership must be among them, and granted.")
    birthday: date | None = None
    source: str = Field("desk", max_length=50, description="The channel the member came by.")
    staff: str = Field("", max_length=80, description="Who won the member over.")
    campaign: str = Field("", max_length=80)
    advisor: str = Field("", max_length=80, description="Who is to look after the member.")
    tags: list[str] = Field(default_factory=list, max_length=30)
    custom: dict[str, Given] = Field(default_factory=dict, description="Answers to the chain's own fields.")
    proof: ProofInput | None = Field(None, description="Takes the number from whoever has it.")


class ChangeInput(Input):
    """What is to be otherwise; what is left out stays."""

    name: str | None = Field(None, max_length=200)
    phone: str | None = Field(None, max_length=60)
    proof: ProofInput | None = Field(None, description="Needed where somebody else has the new number.")
    birthday: date | None = None
    forget_birthday: bool = Field(False, description="Take the birthday back.")
    home_store: str | None = Field(None, max_length=32)
    custom: dict[str, Given] = Field(default_factory=dict, description="Answers by field; null takes one back.")


class SearchInput(Input):
    """A phone number, card number, last four digits, name, pinyin or initials."""

    text: str = Field(max_length=200)


@dataclass(frozen=True, slots=True)
class FullPhone:
    """A number that is not masked."""

    phone: str


@router.post("", status_code=201, summary="Enrol a member")
def enrol(body: MemberInput, request: Request, scope: Reader) -> Member:
    """Make a person a member. A number that has a member is a conflict: `detail` has that member's id and card."""
    new = NewMember(
        name=body.name,
        phone=body.phone,
        home_store=body.home_store,
        consents=[NewConsent(**consent.model_dump()) for consent in body.consents],
        birthday=body.birthday,
        source=body.source,
        staff=body.staff,
        campaign=body.campaign,
        advisor=body.advisor,
        tags=body.tags,
        custom=body.custom,
        proof=body.proof.proof() if body.proof else None,
    )
    return _service(request).enrol(scope, new)


@router.get("", summary="Find members, or list the newest")
def find(
    request: Request,
    scope: Reader,
    phone: Annotated[str | None, Query(max_length=60, description="A whole number, of any store's member.")] = None,
    card: Annotated[str | None, Query(max_length=20, description="A card number, of any store's member.")] = None,
    store: Annotated[str | None, Query(max_length=32, description="Newest members of one store.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[MemberSummary]:
    """The member with a phone or card number (an empty list when there is none), or the newest of your stores."""
    service = _service(request)
    if phone is None and card is None:
        return service.recent(scope, store, limit)
    found = service.find_by_phone(scope, phone) if phone is not None else service.find_by_card(scope, card or "")
    return [] if found is None else [_summary(found)]


@router.post("/search", summary="Find members by whatever is known")
def search(body: SearchInput, request: Request, scope: Reader) -> list[MemberSummary]:
    """A whole number or card finds a member of any store; anything else, members of your own stores."""
    return _service(request).search(scope, body.text)


@router.get("/{member_id}", summary="A member")
def read_member(member_id: UUID, request: Request, scope: Reader) -> Member:
    """A member of one of your stores, or who bought in one."""
    return _service(request).member(scope, member_id)


@router.patch("/{member_id}", summary="Change a member")
def change(member_id: UUID, body: ChangeInput, request: Request, scope: Reader) -> Member:
    """Correct what is kept of a member. A number that somebody else has needs a code that was sent to it."""
    wanted = Change(
        name=body.name,
        phone=body.phone,
        proof=body.proof.proof() if body.proof else None,
        birthday=body.birthday,
        forget_birthday=body.forget_birthday,
        home_store=body.home_store,
        custom=body.custom,
    )
    return cast("_State", request.app.state.services).members.changes.change(scope, member_id, wanted)


@router.post("/{member_id}/phone", summary="Reveal a phone number")
def reveal_phone(member_id: UUID, request: Request, scope: Reader) -> FullPhone:
    """The full number of a member of one of your stores. The look is in the audit trail."""
    return FullPhone(_service(request).reveal_phone(scope, member_id))


@router.post("/{member_id}/consents", status_code=201, summary="Record a consent")
def record_consent(member_id: UUID, body: ConsentInput, request: Request, scope: Reader) -> Member:
    """Record a new answer of a member; earlier ones stay on record."""
    return _service(request).record_consent(scope, member_id, NewConsent(**body.model_dump()))


def _summary(member: Member) -> MemberSummary:
    return MemberSummary(
        member_id=member.member_id,
        card_no=member.card_no,
        name=member.name,
        phone=member.phone,
        home_store=member.home_store,
        tier=member.tier,
        enrolled_at=member.enrolled_at,
    )
