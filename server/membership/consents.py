"""Who agreed to what: asked by everything that sends, before it sends.

There is one question, `may_reach`, and whoever doesn't ask it must not send. The traps are two: an answer about text
messages taken for one about all ways, and a "no" overlooked because an older "yes" stands beside it. So the newest
answer about this way or about all ways counts, no answer is a no, and who left the membership is sent nothing.
"""

from collections.abc import Mapping, Sequence
from typing import get_args
from uuid import UUID

from server.access import audit
from server.access.models import LOCALES, Locale, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput
from server.membership import consent_repository, repository
from server.membership.models import Member, NewConsent, Purpose, Reach
from server.membership.reading import HEADQUARTERS, READERS, MemberReader
from server.membership.wording import Wording, newest, shown_as
from server.storage.pool import Connection, Database

_LONGEST = 2000


class Consents:
    """Records answers and tells what they allow."""

    def __init__(self, db: Database, reader: MemberReader, clock: Clock = utc_now) -> None:
        self._db = db
        self._reader = reader
        self._clock = clock

    def may_reach(
        self, conn: Connection, scope: Scope, members: Sequence[UUID], purpose: Purpose, reach: Reach
    ) -> set[UUID]:
        """Which of the members may be reached for a purpose in a way, now.

        Everything that sends asks this, in the transaction in which it decides to send. Members who were merged into
        another, or erased, are never in the answer; nor is one without a number where the way needs one.

        Args:
            reach: the way it is to be sent by; empty where nothing is sent and only the purpose counts, as in analysis.
        """
        return set(consent_repository.allowed(conn, scope, members, purpose, reach))

    def record(self, scope: Scope, member_id: UUID, consent: NewConsent) -> Member:
        """Record a new answer of a member; earlier ones stay on record.

        Raises:
            NotFound: when there is none the caller may know of.
            InvalidInput: for an unknown purpose or way, or without the words that were shown.
        """
        scope.require_role(*READERS)
        check_consent(consent)
        now = self._clock()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            repository.insert_consents(conn, row.member_id, [consent], scope.actor, now)
            audit.record(
                conn,
                now,
                scope.actor,
                "member.consent",
                subject=str(row.member_id),
                store_id=row.home_store,
                detail={"purpose": consent.purpose, "reach": consent.reach, "granted": consent.granted},
            )
            return self._reader.member(conn, scope, row.member_id, whole_chain=False)

    def wordings(self, scope: Scope) -> list[Wording]:
        """What is shown today, by language and purpose."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            shown = newest(consent_repository.wordings(conn))
        return [wording for purposes in shown.values() for wording in purposes.values()]

    def shown_as(self, scope: Scope, locale: Locale, versions: Mapping[str, str]) -> dict[Purpose, Wording]:
        """The words a form showed, by the versions it named; see `wording.shown_as`."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return shown_as(consent_repository.wordings(conn), locale, versions)

    def publish(self, scope: Scope, new: Wording) -> None:
        """Show the chain's own words from now on. For headquarters.

        Raises:
            Conflict: a version that was shown is never changed.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        if new.purpose not in get_args(Purpose) or new.locale not in LOCALES:
            raise InvalidInput("there is no such purpose or language", field="purpose", remedy="choose one of the list")
        if not new.text.strip() or len(new.text) > _LONGEST or not new.version.strip() or len(new.version) > 40:
            raise InvalidInput(
                "the words or their version are empty or too long",
                field="text",
                remedy=f"up to {_LONGEST} characters, and 40 for the version",
            )
        now = self._clock()
        with self._db.transaction() as conn:
            if not consent_repository.insert_wording(conn, new, scope.actor, now):
                raise Conflict(
                    f"there is a version {new.version!r} already",
                    field="version",
                    remedy="give the new words a version of their own",
                )
            detail: dict[str, object] = {"locale": new.locale, "version": new.version}
            audit.record(conn, now, scope.actor, "member.publish_wording", subject=new.purpose, detail=detail)


def check_consents(consents: Sequence[NewConsent]) -> None:
    """The answers of a new member: the membership's must be among them, and a yes.

    Raises:
        InvalidInput: for the field ``consents``.
    """
    for consent in consents:
        check_consent(consent)
    if not any(each.purpose == "membership" and each.granted for each in consents):
        raise _refused(
            "there is no consent to the membership", "ask, and record the answer; without it nobody is enrolled"
        )


def check_consent(consent: NewConsent) -> None:
    """One answer.

    Raises:
        InvalidInput: for the field ``consents``.
    """
    if consent.purpose not in get_args(Purpose):
        raise _refused(f"purpose {consent.purpose!r} is not known", f"use one of {', '.join(get_args(Purpose))}")
    if consent.reach not in get_args(Reach):
        raise _refused(
            f"way {consent.reach!r} is not known", f"use one of {', '.join(each for each in get_args(Reach) if each)}"
        )
    if not consent.wording.strip():
        raise _refused("a consent needs the words that were shown", "send them as `wording`")


def _refused(message: str, remedy: str) -> InvalidInput:
    return InvalidInput(message, field="consents", remedy=remedy)
