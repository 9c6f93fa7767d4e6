"""Routes of what headquarters decides of members, and of what a member may ask for: duplicates, the form, wordings,
export, erasure and for how long things are kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from server.access.api import require_role
from server.access.models import Locale, Scope
from server.inputs import Input
from server.membership.desk import MemberDesk
from server.membership.erasing import ErasureReceipt, Proof
from server.membership.fields import CustomField, FieldKind, Option, Rules
from server.membership.form import Form
from server.membership.merge_repository import Merge
from server.membership.merging import Twins
from server.membership.models import Member, Purpose
from server.membership.readable import pdf_of
from server.membership.retention import Preview
from server.membership.retention_repository import Rule, RuleName
from server.membership.wording import Wording

router = APIRouter(prefix="/api/v1", tags=["members"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]
Leader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]
Headquarters = Annotated[Scope, Depends(require_role("admin", "hq"))]


class _State(Protocol):
    members: MemberDesk


def _desk(request: Request) -> MemberDesk:
    return cast("_State", request.app.state.services).members


class MergeInput(Input):
    """Who is merged into whom."""

    kept: UUID
    gone: UUID
    reason: str = Field(max_length=200)


class PairInput(Input):
    """Two who look alike and are two."""

    one: UUID
    other: UUID


class OptionInput(Input):
    """One answer of a choice."""

    value: str = Field(max_length=80)
    labels: dict[Locale, str]


class FieldInput(Input):
    """A field of the chain's own."""

    kind: FieldKind
    labels: dict[Locale, str] = Field(description="In each language.")
    required: bool = False
    options: list[OptionInput] = Field(default_factory=list, max_length=200)
    least: str | None = Field(None, max_length=40, description="Of a number or a date.")
    most: str | None = Field(None, max_length=40)
    longest: int | None = Field(None, description="Of a text, in characters.")
    place: int = Field(0, ge=-10_000, le=10_000, description="Fields are shown by rising place.")


class WordingInput(Input):
    """Words that are shown from now on."""

    purpose: Purpose
    locale: Locale
    version: str = Field(max_length=40)
    text: str = Field(max_length=2000)


class EraseInput(Input):
    """Why a member is erased."""

    reason: str = Field(max_length=200)


class RuleInput(Input):
    """For how many days something is kept; null: until somebody asks."""

    days: int | None


@dataclass(frozen=True, slots=True)
class Parted:
    """Two members who were one."""

    kept: Member
    gone: Member


@dataclass(frozen=True, slots=True)
class Holds:
    """Why a member can't be erased now; empty when nothing is in the way."""

    holds: list[str]


@dataclass(frozen=True, slots=True)
class DefinedField:
    """A field of the chain's own; `retired_at` (UTC) since when it is not asked for."""

    field: str
    kind: FieldKind
    labels: dict[Locale, str]
    required: bool
    options: list[str]
    place: int
    retired_at: datetime | None


@router.get("/member-twins", summary="Members who may be one person")
def twins(request: Request, scope: Leader, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[Twins]:
    """Members of one name and birthday, as far as you may see them, those enrolled last first."""
    return _desk(request).merging.suggest(scope, limit)


@router.post("/member-twins/apart", status_code=204, summary="Two who look alike are two")
def not_twins(body: PairInput, request: Request, scope: Leader) -> None:
    """They are not suggested again."""
    _desk(request).merging.not_twins(scope, body.one, body.other)


@router.post("/member-merges", status_code=201, summary="Merge two members")
def merge(body: MergeInput, request: Request, scope: Leader) -> Member:
    """Both numbers and cards lead to the one who is kept from now on. It can be undone."""
    return _desk(request).merging.merge(scope, body.kept, body.gone, body.reason)


@router.get("/members/{member_id}/merges", summary="Merges of a member")
def merges(member_id: UUID, request: Request, scope: Reader) -> list[Merge]:
    """Every merge the member was part of, the newest first."""
    return _desk(request).merging.merges(scope, member_id)


@router.delete("/member-merges/{merge_id}", summary="Undo a merge")
def undo_merge(merge_id: int, request: Request, scope: Leader) -> Parted:
    """Everything goes back to whom it belonged; what came since stays with the one who was kept."""
    kept, gone = _desk(request).merging.undo(scope, merge_id)
    return Parted(kept, gone)


@router.get("/member-form", summary="The form by which a member is enrolled")
def form(request: Request, scope: Reader, locale: Annotated[Locale | None, Query()] = None) -> Form:
    """Fields from top to bottom and what is asked for consent, for a page to draw; in your language by default."""
    return _desk(request).form.describe(scope, locale)


@router.get("/member-fields", summary="The chain's own fields")
def fields(request: Request, scope: Reader) -> list[DefinedField]:
    """Also those that are not asked for any more."""
    return [_shown(each) for each in _desk(request).form.fields(scope)]


@router.put("/member-fields/{field}", summary="Define a field")
def define(field: str, body: FieldInput, request: Request, scope: Headquarters) -> DefinedField:
    """Ask for something, or ask for it in another way; its kind stays. For headquarters."""
    rules = Rules(
        required=body.required,
        options=tuple(Option(option.value, option.labels) for option in body.options),
        least=body.least,
        most=body.most,
        longest=body.longest,
    )
    return _shown(_desk(request).form.define(scope, CustomField(field, body.kind, body.labels, rules, body.place)))


@router.delete("/member-fields/{field}", status_code=204, summary="Ask for a field no more")
def retire(field: str, request: Request, scope: Headquarters) -> None:
    """What was answered is kept. For headquarters."""
    _desk(request).form.retire(scope, field)


@router.get("/member-wordings", summary="What is shown when consent is asked for")
def wordings(request: Request, scope: Reader) -> list[Wording]:
    """Today's words by language and purpose."""
    return _desk(request).consents.wordings(scope)


@router.post("/member-wordings", status_code=204, summary="Show other words")
def publish(body: WordingInput, request: Request, scope: Headquarters) -> None:
    """From now on; a version that was shown is never changed. For headquarters."""
    _desk(request).consents.publish(scope, Wording(body.purpose, body.locale, body.version, body.text))


@router.post(
    "/members/{member_id}/export",
    summary="Everything kept of a member",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "application/pdf": {}}, "description": "To be handed out."}},
)
def export(
    member_id: UUID,
    request: Request,
    scope: Leader,
    kind: Annotated[Literal["json", "pdf"], Query(description="For a program or for a reader.")] = "json",
    locale: Annotated[Locale | None, Query(description="Of the PDF.")] = None,
) -> Response:
    """For the member, who may ask for it. Whole numbers are in it, so it is a POST and in the audit trail."""
    made = _desk(request).exports.export(scope, member_id)
    if kind == "json":
        content, media = made.as_json(), "application/json"
    else:
        content, media = pdf_of(made, locale or scope.locale), "application/pdf"
    headers = {"Content-Disposition": f'attachment; filename="member-{made.member_id}.{kind}"'}
    return Response(content, media_type=media, headers=headers)


@router.get("/members/{member_id}/holds", summary="What is in the way of an erasure")
def holds(member_id: UUID, request: Request, scope: Leader) -> Holds:
    """Such as money on a card, which is paid out first."""
    return Holds(_desk(request).erasures.holds(scope, member_id))


@router.post("/members/{member_id}/erase", status_code=201, summary="Erase a member")
def erase(member_id: UUID, body: EraseInput, request: Request, scope: Leader) -> ErasureReceipt:
    """Everything that names the person goes and does not come back; the receipt proves it. Ledgers stay as they are."""
    return _desk(request).erasures.erase(scope, member_id, body.reason)


@router.get("/member-erasures", summary="Receipts of erasure")
def erasures(
    request: Request, scope: Headquarters, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[ErasureReceipt]:
    """The newest first. For headquarters."""
    return _desk(request).erasures.receipts(scope, limit)


@router.get("/member-erasures/{erasure_id}", summary="A receipt of erasure")
def erasure(erasure_id: UUID, request: Request, scope: Leader) -> ErasureReceipt:
    """What went, what stays and why, what the books said."""
    return _desk(request).erasures.receipt(scope, erasure_id)


@router.get("/member-erasures/{erasure_id}/proof", summary="Prove an erasure")
def prove(erasure_id: UUID, request: Request, scope: Leader) -> Proof:
    """Hold the receipt against what is in the database today."""
    return _desk(request).erasures.prove(scope, erasure_id)


@router.get("/member-rules", summary="For how long things are kept")
def rules(request: Request, scope: Headquarters) -> list[Rule]:
    """What has no rule is kept until somebody asks."""
    return _desk(request).retention.rules(scope)


@router.put("/member-rules/{rule}", summary="Keep something for so long")
def set_rule(rule: RuleName, body: RuleInput, request: Request, scope: Headquarters) -> list[Rule]:
    """For headquarters. `inactive` erases members who were not seen for so long; look at the preview first."""
    return _desk(request).retention.set_rule(scope, rule, body.days)


@router.get("/member-rules/inactive/preview", summary="Whom a rule would erase")
def preview(request: Request, scope: Headquarters, days: Annotated[int, Query(ge=30, le=20_000)]) -> Preview:
    """How many members were not seen for so many days."""
    return _desk(request).retention.preview(scope, days)


def _shown(field: CustomField) -> DefinedField:
    return DefinedField(
        field=field.field,
        kind=field.kind,
        labels=dict(field.labels),
        required=field.rules.required,
        options=[option.value for option in field.rules.options],
        place=field.place,
        retired_at=field.retired_at,
    )
