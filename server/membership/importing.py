"""Members from an old system: each row a person who is enrolled like one at the desk, with what they brought along.

A file of members has everything wrong with it: numbers twice, numbers of people who are members already, birthdays in
three spellings. So it can be tried first, nothing is guessed, what is refused is told by line and column, and a file
may be sent again: whoever came with it before is known by the old system's number, or, where it had none, by phone
number and name. Consent is not assumed: whoever brings the file states what these people agreed to, and that is what
stands on record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import BinaryIO, Final
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import DoorlineError, InvalidInput
from server.files.sheets import Row, Sheet, open_sheet
from server.membership import field_repository, import_repository, names, repository
from server.membership.import_rows import ReadRow, RowReader, check_needed, recognised
from server.membership.models import MemberExists
from server.membership.opening import OpeningBalances
from server.membership.opening_value import OpeningValue
from server.membership.reading import HEADQUARTERS, MemberReader
from server.membership.service import MembershipService
from server.storage.pool import Connection, Database

MOST_TOLD: Final = 500
_EVERY: Final = 200


@dataclass(frozen=True, slots=True)
class RowError:
    """What was wrong with a row, and what to do."""

    line: int
    field: str | None
    reason: str
    remedy: str | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row whose number somebody has: a member, or (`card_no` empty) an earlier row."""

    line: int
    card_no: str
    earlier_line: int | None


@dataclass(slots=True)
class MemberImportResult:
    """What became of a file; of duplicates and errors the first are told, and all are counted.

    Attributes:
        enrolled: new members, or with `dry_run` those who would be.
        known: rows that came with an earlier import.
        opened: opening balances booked, of points and of stored value each, or with `dry_run` those that would be.
        principal: stored value in them that was paid for, `bonus` that was given on top, by currency.
        tiers_left: tiers that were not given again: an earlier file gave them, and the members have moved since.
    """

    dry_run: bool
    rows: int = 0
    enrolled: int = 0
    known: int = 0
    opened: int = 0
    tiers_left: int = 0
    duplicate_count: int = 0
    error_count: int = 0
    principal: dict[str, Decimal] = field(default_factory=dict)
    bonus: dict[str, Decimal] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)


class MemberImport:
    """Brings members in."""

    def __init__(
        self,
        db: Database,
        membership: MembershipService,
        reader: MemberReader,
        openings: OpeningBalances,
        value: OpeningValue,
        clock: Clock = utc_now,
    ) -> None:
        self._db = db
        self._membership = membership
        self._reader = reader
        self._openings = openings
        self._value = value
        self._clock = clock

    def run(
        self,
        scope: Scope,
        store_id: str,
        stream: BinaryIO,
        basis: str,
        mapping: Mapping[str, str] | None = None,
        *,
        dry_run: bool = False,
        heard: Callable[[MemberImportResult], bool] = lambda _so_far: False,
        refuse: Callable[[Row, RowError], None] = lambda _row, _error: None,
    ) -> MemberImportResult:
        """Enrol everybody in a file whose number nobody has. For headquarters.

        Args:
            store_id: home of those members whose row names no other store; numbers are of the home's country.
            basis: what these people agreed to and when, in the words that stand on record as their consent.
            mapping: our columns to those of the file, where its header says it otherwise, empty where the file has
                none of it; `custom.<field>` too.
            dry_run: check everything, keep nothing.
            heard: told what became of the rows so far, now and then and at the end; True stops, what was kept stays.
            refuse: told each row that was not taken, and why.

        Raises:
            InvalidInput: a file that can't be read, or lacks a column; a row's own faults are told in the result.
        """
        result = MemberImportResult(dry_run)
        sheet, columns, tiers = self._opened(scope, store_id, stream, basis, mapping or {})
        seen: dict[str, int] = {}
        with self._db.read() as conn:
            homes = import_repository.homes(conn, scope, None if "store" in columns else store_id)
            own = field_repository.fields(conn)
        home = next(each for each in homes if each.store_id == store_id)
        reader = RowReader(columns, homes, home, own, tiers, basis, self._clock())
        is_whole = False
        try:
            for line in sheet.rows():
                result.rows += 1
                try:
                    double = self._take(scope, reader.read(line), seen, result)
                    if double is not None:
                        _double(result, double)
                        refuse(line, _told_double(double))
                except DoorlineError as error:
                    if error.status >= 500:
                        raise
                    wrong = RowError(line.line, error.field, error.message, error.remedy)
                    _tell(result, wrong)
                    refuse(line, wrong)
                if result.rows % _EVERY == 0 and heard(result):
                    break
            is_whole = True
        finally:
            # Also of a file that broke off: whom it enrolled is a member, and what it had refused is to be corrected.
            if not dry_run:
                self._note(scope, store_id, result, is_whole=is_whole)
            heard(result)
        return result

    def check(
        self, scope: Scope, store_id: str, stream: BinaryIO, basis: str, mapping: Mapping[str, str] | None = None
    ) -> None:
        """Whether `run` would begin at all; no row is read.

        Raises:
            As `run`.
        """
        self._opened(scope, store_id, stream, basis, mapping or {})

    def _note(self, scope: Scope, store_id: str, result: MemberImportResult, *, is_whole: bool) -> None:
        detail: dict[str, object] = {"rows": result.rows, "enrolled": result.enrolled, "opened": result.opened}
        for what, sums in (("principal", result.principal), ("bonus", result.bonus)):
            if sums:
                detail[what] = {currency: str(amount) for currency, amount in sums.items()}
        if result.tiers_left:
            detail["tiers_left"] = result.tiers_left
        if not is_whole:
            detail["failed"] = True
        with self._db.transaction() as conn:
            audit.record(conn, self._clock(), scope.actor, "member.import", store_id=store_id, detail=detail)

    def _opened(
        self, scope: Scope, store_id: str, stream: BinaryIO, basis: str, mapping: Mapping[str, str]
    ) -> tuple[Sheet, dict[str, int], frozenset[str]]:
        scope.require_role(*HEADQUARTERS)
        scope.require(store_id)
        if len(basis.strip()) < 10:
            raise InvalidInput(
                "it isn't said what these people agreed to", field="basis", remedy="say what, where and since when"
            )
        with self._db.read() as conn:
            self._reader.country_of(conn, scope, store_id)
        sheet = open_sheet(stream)
        columns = recognised(sheet.header, mapping)
        check_needed(columns)
        tiers = self._openings.tiers(scope)
        if "tier" in columns and not tiers:
            raise InvalidInput("tiers can't be given here", field="tier", remedy="take the column out of the file")
        return sheet, columns, tiers

    def _take(self, scope: Scope, read: ReadRow, seen: dict[str, int], result: MemberImportResult) -> Duplicate | None:
        """Take a row, or say whose number it has."""
        earlier = seen.setdefault(read.number, read.line)
        if earlier != read.line:
            return Duplicate(read.line, "", earlier)
        external = read.new.external_no
        with self._db.read() as conn:
            before = import_repository.by_external_no(conn, external) if external else None
            holder = self._reader.holder(conn, read.number)
            may_open = True
            if not external and holder is not None and self._came_before(conn, scope, holder, read.new.name):
                # What a merged card brought along stands under the key of its own, and so does what came with a number.
                before, may_open = holder, not import_repository.opens_elsewhere(conn, holder)
        if before is not None:
            result.known += 1
            if may_open:
                with self._db.read() as conn:
                    store_id = import_repository.enrolled_in(conn, external, before)
                self._open(scope, before, store_id, read, result)
        elif holder is not None:
            with self._db.read() as conn:
                return Duplicate(read.line, import_repository.card_of_member(conn, holder), None)
        elif result.dry_run:
            self._check_value(scope, read)
            result.enrolled += 1
            self._open(scope, None, read.new.home_store, read, result)
        else:
            self._check_value(scope, read)
            try:
                made = self._membership.enrol(scope, read.new)
            except MemberExists as known:  # enrolled at a desk since we looked
                return Duplicate(read.line, known.card_no, None)
            result.enrolled += 1
            self._open(scope, made.member_id, read.new.home_store, read, result)
        return None

    def _came_before(self, conn: Connection, scope: Scope, holder: UUID, name: str) -> bool:
        """Whether who has a row's number came with an earlier import: an old system without numbers of its own leaves
        the phone number and the name to know them by."""
        row = repository.member(conn, scope, holder, whole_chain=True)
        return row is not None and row.source == "import" and names.folded(self._reader.name(row)) == names.folded(name)

    def _check_value(self, scope: Scope, read: ReadRow) -> None:
        """Nobody is enrolled whose stored value can't be brought in: the row goes back whole."""
        if read.principal or read.bonus:
            with self._db.read() as conn:
                self._value.check(conn, scope, read.new.home_store, read.principal, read.bonus)

    def _open(
        self, scope: Scope, member_id: UUID | None, store_id: str, read: ReadRow, result: MemberImportResult
    ) -> None:
        """Give a member what the file says they had, as far as no file gave it before; with `dry_run` only count it.

        Args:
            member_id: None in a dry run, of somebody who would be enrolled.
            store_id: where the member was, or would be, enrolled.
        """
        key = read.new.external_no or str(member_id or "")
        if result.dry_run:
            self._count(scope, store_id, key, read, result)
            return
        if member_id is None:
            raise ValueError("nobody to give it to")
        if read.tier:
            result.tiers_left += not self._openings.tier(scope, member_id, read.tier)
        expire = read.points_expire
        result.opened += self._openings.points(scope, member_id, read.points, key, read.new.home_store, expire)
        if read.principal or read.bonus:
            currency = self._value.bring_in(scope, member_id, store_id, read.principal, read.bonus, key)
            if currency is not None:
                _brought(result, currency, read)

    def _count(self, scope: Scope, store_id: str, key: str, read: ReadRow, result: MemberImportResult) -> None:
        if not (read.points or read.principal or read.bonus):
            return
        with self._db.read() as conn:
            result.opened += read.points > 0 and not self._openings.points_brought(conn, key)
            if (read.principal or read.bonus) and not self._value.was_brought(conn, scope, store_id, key):
                currency = self._value.check(conn, scope, store_id, read.principal, read.bonus)
                _brought(result, currency, read)


def _brought(result: MemberImportResult, currency: str, read: ReadRow) -> None:
    result.opened += 1
    result.principal[currency] = result.principal.get(currency, Decimal(0)) + read.principal
    result.bonus[currency] = result.bonus.get(currency, Decimal(0)) + read.bonus


def _tell(result: MemberImportResult, error: RowError) -> None:
    result.error_count += 1
    if len(result.errors) < MOST_TOLD:
        result.errors.append(error)


def _told_double(double: Duplicate) -> RowError:
    whose = f"the member with card {double.card_no}" if double.card_no else f"line {double.earlier_line}"
    return RowError(
        double.line, "duplicate", f"this number belongs to {whose}", "look who it is; a number has one member"
    )


def _double(result: MemberImportResult, duplicate: Duplicate) -> None:
    result.duplicate_count += 1
    if len(result.duplicates) < MOST_TOLD:
        result.duplicates.append(duplicate)
