"""Takes in what a desk wrote down while its network was away: each item once, under the name of who wrote it.

The trap is the answer that was lost on its way back: the member was enrolled, the desk never heard, and sends the item
again. An item therefore has a number from the browser, and what came of it is kept under that number. Where the server
itself was killed between enrolling and noting it, the member who stands there is recognised as this item's own.
"""

from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Final, Protocol
from uuid import UUID

import msgspec

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import DoorlineError, Forbidden, InvalidInput, NotFound, TooManyRequests, Unavailable
from server.membership import consent_repository, field_repository, names, wording
from server.membership.fields import typed
from server.membership.models import MemberExists, NewMember
from server.membership.offline import repository
from server.membership.offline.envelopes import EnvelopeKeys, PublicKey
from server.membership.offline.models import CheckIn, Enrolment, Kind, Outcome, SealedItem, Taken
from server.membership.service import MembershipService
from server.storage.pool import Database

_DESKS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_MOST_WAITING: Final = 200
#: How long what was done is known again. A tablet that lay in a drawer for longer is asked about by phone number.
KEPT: Final = timedelta(days=90)
_enrolment: Final[msgspec.json.Decoder[Enrolment]] = msgspec.json.Decoder(Enrolment)
_check_in: Final[msgspec.json.Decoder[CheckIn]] = msgspec.json.Decoder(CheckIn)


class CheckIns(Protocol):
    """Who books that a member is in a store."""

    def check_in_as_told(self, scope: Scope, store_id: str, who: str, at: datetime, key: str) -> UUID:
        """Book a visit of whoever this card or phone number belongs to; the member."""


class OfflineDesk:
    """Items of desks that were offline.

    Args:
        keys: to which they are sealed.
        visits: books check-ins.
    """

    def __init__(
        self,
        db: Database,
        keys: EnvelopeKeys,
        membership: MembershipService,
        visits: CheckIns,
        clock: Clock = utc_now,
    ) -> None:
        self._db = db
        self._keys = keys
        self._membership = membership
        self._visits = visits
        self._clock = clock

    @property
    def public_key(self) -> PublicKey:
        """What pages seal with."""
        return self._keys.public

    def take(self, scope: Scope, item: SealedItem) -> Taken:
        """Do what an item says, or tell what came of it when it was here before.

        Raises:
            Forbidden: it was made by somebody else, or by somebody who works at no desk.
            InvalidInput: it can't be opened, or its time is no time: nothing is kept of it, the browser keeps it.
            Unavailable: later.
        """
        scope.require_role(*_DESKS)
        if item.user_id != scope.user_id:
            raise _not_yours()
        now = self._clock()
        made_at = min(_time_of(item.made_at), now)
        content = self._keys.open(item.key_id, item.sealed, item.bound_to)
        with self._db.transaction() as conn:
            noted = repository.begin(conn, scope, item, made_at, now)
            before = repository.taken(conn, scope, item.item_id)
        if noted is None:
            raise _not_yours()
        if before is not None:
            return before
        try:
            outcome, member_id = self._do(scope, item, content, noted)
        except (TooManyRequests, Unavailable):
            raise
        except DoorlineError as error:
            return self._end(scope, item, "refused", None, (error.field or "", error.message))
        return self._end(scope, item, outcome, member_id)

    def note_done(self, scope: Scope, item_id: UUID, kind: Kind, member_id: UUID) -> None:
        """Note that an item was done while the network was there, should its answer be lost and it come again."""
        now = self._clock()
        with self._db.transaction() as conn:
            repository.insert_done(conn, scope, item_id, kind, member_id, now)

    def waiting(self, scope: Scope) -> list[Taken]:
        """What the caller still has to look at: numbers that were known, items that were refused; the oldest first."""
        scope.require_role(*_DESKS)
        with self._db.read() as conn:
            return repository.waiting(conn, scope, _MOST_WAITING)

    def refused(self, scope: Scope, item_id: UUID) -> Enrolment | CheckIn:
        """What a refused item of the caller's held, to be put right.

        Raises:
            NotFound: there is none, or it was settled.
        """
        scope.require_role(*_DESKS)
        with self._db.read() as conn:
            item = repository.envelope(conn, scope, item_id)
        if item is None:
            raise NotFound("this item is settled, or was never yours", field="item_id")
        return _read(item, self._keys.open(item.key_id, item.sealed, item.bound_to))

    def settle(self, scope: Scope, item_id: UUID, member_id: UUID | None = None) -> None:
        """The caller is done with an item that was known or refused.

        Args:
            member_id: who was enrolled in the end, if anybody was.

        Raises:
            NotFound: there is none, or it was settled.
        """
        scope.require_role(*_DESKS)
        now = self._clock()
        with self._db.transaction() as conn:
            if not repository.settle(conn, scope, item_id, now, member_id):
                raise NotFound("this item is settled, or was never yours", field="item_id")
            audit.record(
                conn,
                now,
                scope.actor,
                "desk.settle",
                subject=str(item_id),
                detail={"member": None if member_id is None else str(member_id)},
            )

    def _do(self, scope: Scope, item: SealedItem, content: bytes, made_at: datetime) -> tuple[Outcome, UUID]:
        read = _read(item, content)
        if isinstance(read, CheckIn):
            return "done", self._visits.check_in_as_told(scope, read.store_id, read.who, made_at, str(item.item_id))
        try:
            return "done", self._membership.enrol(scope, self._new_member(read, made_at)).member_id
        except MemberExists as known:
            ours = self._enrolled_by_this(scope, known, read, made_at)
            return "done" if ours else "known", known.member_id

    def _new_member(self, read: Enrolment, made_at: datetime) -> NewMember:
        if not read.consent:
            raise InvalidInput("the person did not agree to the membership", field="consents")
        try:
            born = date.fromisoformat(read.birthday) if read.birthday else None
        except ValueError as error:
            raise InvalidInput(f"{read.birthday!r} is no date", field="birthday") from error
        with self._db.read() as conn:
            fields = field_repository.fields(conn)
            words = wording.shown_as(consent_repository.wordings(conn), read.locale, read.versions)
        return NewMember(
            name=read.name,
            phone=read.phone,
            home_store=read.home_store,
            consents=wording.answers(words, marketing=read.marketing),
            birthday=born,
            custom=typed(fields, read.custom),
            at=made_at,
        )

    def _enrolled_by_this(self, scope: Scope, known: MemberExists, read: Enrolment, made_at: datetime) -> bool:
        """Whether the member who has the number came of this very item, taken when the server was killed."""
        holder = self._membership.find_by_card(scope, known.card_no)
        return (
            holder is not None
            and holder.enrolled_by == scope.actor
            and holder.enrolled_at == made_at
            and holder.name == names.clean(read.name)
        )

    def _end(
        self,
        scope: Scope,
        item: SealedItem,
        outcome: Outcome,
        member_id: UUID | None,
        problem: tuple[str, str] = ("", ""),
    ) -> Taken:
        now = self._clock()
        with self._db.transaction() as conn:
            ended = repository.end(conn, scope, item.item_id, now, outcome, member_id, problem)
            if ended and outcome != "done":
                audit.record(
                    conn,
                    now,
                    scope.actor,
                    f"desk.{outcome}",
                    subject=str(item.item_id),
                    detail={"kind": item.kind, "field": problem[0]},
                )
            taken = repository.taken(conn, scope, item.item_id)
        if taken is None:
            raise NotFound("this item was forgotten while it was taken", field="item_id", remedy="send it again")
        return taken


class Forgetting:
    """The job that drops what is settled and old."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def run(self, _stop: Event) -> str | None:
        """One turn; what was done, if anything was."""
        with self._db.transaction() as conn:
            gone = repository.forget(conn, self._clock() - KEPT)
        return f"{gone} items of offline desks forgotten" if gone else None


def _read(item: SealedItem, content: bytes) -> Enrolment | CheckIn:
    try:
        return _check_in.decode(content) if item.kind == "check_in" else _enrolment.decode(content)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the item holds something else than a form: {error}", field="sealed") from error


def _time_of(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time", field="made_at", remedy="send ISO 8601 with a zone") from error
    if at.tzinfo is None:
        raise InvalidInput(f"{text!r} has no zone", field="made_at", remedy="send ISO 8601 with a zone")
    return at.astimezone(UTC)


def _not_yours() -> Forbidden:
    return Forbidden(
        "this was written by somebody else",
        field="user_id",
        remedy="it goes out when they sign in on this device",
    )
