"""One-time codes: proof that the person at the desk holds a number.

A number is given to somebody else months after its holder gave it up; the new holder must get in, and must not get the
old one's points. Two traps: a code of six digits is guessed in minutes unless attempts are counted before they are
looked at, and in a transaction of their own, or a guess that fails is rolled back with its count; and a desk that may
send as often as it likes is a way to flood a stranger's phone. Only hashes are kept, under the key of members' data.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from secrets import randbelow
from typing import Final
from uuid import UUID, uuid4

import structlog

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, TooManyRequests, Unavailable
from server.membership import code_repository as repository
from server.membership import phones
from server.membership.code_repository import Asked, CodeRow
from server.membership.crypto import MemberKeys
from server.membership.models import Proof
from server.membership.reading import READERS, MemberReader
from server.membership.sending import CodeMessage, CodeSender
from server.storage.pool import Connection, Database

LIFETIME: Final = timedelta(minutes=10)
#: Wrong codes after which a code is void.
MOST_ATTEMPTS: Final = 5
#: Between two codes for one number, and how many of them in an hour and a day; and by one person in an hour.
PAUSE: Final = timedelta(seconds=45)
MOST_OF_HOUR: Final = 4
MOST_OF_DAY: Final = 10
MOST_BY_PERSON: Final = 60
#: For so long a code stays on record after it was made: for the limits above.
KEPT: Final = timedelta(days=2)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_DIGITS: Final = 6
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SentCode:
    """A code that is on its way.

    Attributes:
        code_id: to be sent back with the code.
        phone: masked.
        expires_at: UTC.
        again_after: seconds until another can be asked for.
    """

    code_id: UUID
    phone: str
    expires_at: datetime
    again_after: int


class OneTimeCodes:
    """Makes, sends and checks codes."""

    def __init__(
        self, db: Database, keys: MemberKeys, reader: MemberReader, sender: CodeSender, clock: Clock = utc_now
    ) -> None:
        self._db = db
        self._keys = keys
        self._reader = reader
        self._sender = sender
        self._clock = clock

    def request(self, scope: Scope, phone: str, store_id: str) -> SentCode:
        """Send a code to a number.

        Args:
            phone: as typed; without a country code it is of the store's country.
            store_id: where the person stands.

        Raises:
            InvalidInput: when it is no phone number.
            TooManyRequests: for this number, or by this person; it says when to try again.
            Unavailable: when the carrier did not take it.
        """
        scope.require_role(*READERS)
        scope.require(store_id)
        now = self._clock()
        code = f"{randbelow(10**_DIGITS):0{_DIGITS}d}"
        code_id = uuid4()
        with self._db.transaction() as conn:
            country = self._reader.country_of(conn, scope, store_id)
            number = phones.e164(phone, country)
            token = self._keys.token("phone", number)
            repository.lock_requests(conn, token, scope.actor)
            tokens = self._keys.tokens("phone", number)
            _check_rate(repository.asked(conn, tokens, scope.actor, now - _HOUR, now - _DAY, now), now)
            row = CodeRow(code_id, token, self._hash(code_id, code), self._keys.key_id, 0)
            repository.insert(conn, row, scope.actor, now, now + LIFETIME)
            audit.record(conn, now, scope.actor, "member.code", subject=str(code_id), store_id=store_id)
        message = CodeMessage(code_id, number, code, int(LIFETIME.total_seconds() // 60), scope.locale)
        try:
            self._sender.send(message)
        except Exception as error:
            # A plug-in may raise anything; whatever it was, nobody has the code.
            _log.exception("a one-time code was not taken by its carrier", code_id=str(code_id))
            with self._db.transaction() as conn:
                repository.expire(conn, code_id, now)
            raise Unavailable("the code could not be sent", retry_after=ceil(PAUSE.total_seconds())) from error
        again = ceil(PAUSE.total_seconds())
        return SentCode(code_id, phones.masked(number, country), now + LIFETIME, again)

    def check(self, proof: Proof, number: str) -> None:
        """Whether a code was sent to this number and is right; the attempt counts whatever comes after.

        Args:
            number: E.164.

        Raises:
            InvalidInput: wrong, too old, tried too often, or of another number; it isn't said which.
        """
        now = self._clock()
        with self._db.transaction() as conn:
            row = repository.count_attempt(conn, proof.code_id, MOST_ATTEMPTS, now)
        if row is None or not self._fits(row, proof, number):
            raise _wrong()

    def use(self, conn: Connection, proof: Proof) -> None:
        """Use a checked code up, in the transaction of what it was asked for.

        Raises:
            InvalidInput: when it was used a moment ago.
        """
        if not repository.use(conn, proof.code_id, self._clock()):
            raise _wrong()

    def purge(self) -> int:
        """Delete old codes; how many. For the clean-up job."""
        with self._db.transaction() as conn:
            return repository.purge(conn, self._clock() - KEPT)

    def _hash(self, code_id: UUID, code: str) -> bytes:
        return self._keys.sign(f"code\0{code_id}\0{code}".encode())

    def _fits(self, row: CodeRow, proof: Proof, number: str) -> bool:
        if not self._keys.knows(row.key_id):
            return False
        text = f"code\0{row.code_id}\0{proof.code.strip()}".encode()
        of_number = [hmac.compare_digest(row.phone_token, token) for token in self._keys.tokens("phone", number)]
        return self._keys.has_signed(text, row.code_hash, row.key_id) and any(of_number)


def _check_rate(asked: Asked, now: datetime) -> None:
    if asked.last_at is not None and now < asked.last_at + PAUSE:
        raise _too_many("a code was sent to this number just now", asked.last_at + PAUSE - now)
    if asked.oldest_at is not None and asked.of_hour >= MOST_OF_HOUR:
        raise _too_many(f"{asked.of_hour} codes were sent to this number within an hour", asked.oldest_at + _HOUR - now)
    if asked.of_day >= MOST_OF_DAY:
        raise _too_many(f"{asked.of_day} codes were sent to this number within a day", _DAY)
    if asked.by_person >= MOST_BY_PERSON:
        raise _too_many(f"you had {asked.by_person} codes sent within an hour", _HOUR)


def _too_many(message: str, wait: timedelta) -> TooManyRequests:
    return TooManyRequests(
        message, retry_after=max(1, ceil(wait.total_seconds())), remedy="wait, or ask for the code that came already"
    )


def _wrong() -> InvalidInput:
    return InvalidInput(
        "the code is wrong or no longer holds", field="code", remedy="check the digits, or have a new code sent"
    )
