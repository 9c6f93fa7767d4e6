"""Members from an old system: each row a person who is enrolled like one at the desk, with what they brought along.

A file of members has everything wrong with it: numbers twice, numbers of people who are members already, birthdays in
three spellings. So it can be tried first, nothing is guessed, what is refused is told by line and column, and a file
may be sent again: whoever came with it before is known by the old system's number, or, where it had none, by phone
number and name. Consent is not assumed: whoever brings the file states what these people agreed to, and that is what
stands on record.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import BinaryIO, Final
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import DoorlineError, InvalidInput
from server.files.sheets import Row, Sheet, open_sheet
from server.membership import field_repository, import_repository, names, phones, repository
from server.membership.fields import FieldKind, Given, check_answers
from server.membership.models import MemberExists, NewConsent, NewMember
from server.membership.opening import OpeningBalances, check_points
from server.membership.reading import HEADQUARTERS, MemberReader
from server.membership.service import MembershipService, check_birthday
from server.storage.pool import Connection, Database

#: Our columns, and what headers call them.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "姓名", "会员姓名", "名字"),
    "phone": ("phone", "mobile", "手机号", "手机", "电话", "手机号码"),
    "birthday": ("birthday", "birth date", "生日", "出生日期"),
    "external_no": ("external_no", "member no", "会员号", "会员编号", "卡号"),
    "points": ("points", "积分", "可用积分"),
    "tier": ("tier", "level", "等级", "会员等级"),
    "marketing": ("marketing", "营销同意", "是否接收营销"),
    "staff": ("staff", "导购", "开卡导购"),
    "advisor": ("advisor", "专属导购"),
    "campaign": ("campaign", "活动"),
    "tags": ("tags", "标签"),
}
_TRUE: Final = frozenset({"yes", "y", "true", "1", "是", "同意"})
_FALSE: Final = frozenset({"", "no", "n", "false", "0", "否", "不同意"})
_DATES: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%Y%m%d")
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
        opened: opening balances booked.
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
    duplicates: list[Duplicate] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """A row, checked as far as it can be by itself."""

    line: int
    new: NewMember
    number: str
    points: int
    tier: str


class MemberImport:
    """Brings members in."""

    def __init__(
        self,
        db: Database,
        membership: MembershipService,
        reader: MemberReader,
        openings: OpeningBalances,
        clock: Clock = utc_now,
    ) -> None:
        self._db = db
        self._membership = membership
        self._reader = reader
        self._openings = openings
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
            store_id: home of the members; their numbers are of its country.
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
            country = self._reader.country_of(conn, scope, store_id)
            own = field_repository.fields(conn)
        kinds = {each.field: each.kind for each in own}
        is_whole = False
        try:
            for line in sheet.rows():
                result.rows += 1
                try:
                    read = self._read(line, columns, kinds, store_id, country, basis)
                    check_answers(own, read.new.custom)
                    if read.tier and read.tier not in tiers:
                        raise InvalidInput(
                            f"there is no tier {read.tier!r}",
                            field="tier",
                            remedy=f"use one of {', '.join(sorted(tiers))}",
                        )
                    double = self._take(scope, read, seen, result)
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
        _check_needed(columns)
        tiers = self._openings.tiers(scope)
        if "tier" in columns and not tiers:
            raise InvalidInput("tiers can't be given here", field="tier", remedy="take the column out of the file")
        return sheet, columns, tiers

    def _take(self, scope: Scope, read: _Read, seen: dict[str, int], result: MemberImportResult) -> Duplicate | None:
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
                # A card that was merged brought its opening balance along, under the key of its own.
                before, may_open = holder, not import_repository.has_merged(conn, holder)
        if before is not None:
            result.known += 1
            if may_open and not result.dry_run:
                self._open(scope, before, read, result)
        elif holder is not None:
            with self._db.read() as conn:
                return Duplicate(read.line, import_repository.card_of_member(conn, holder), None)
        elif result.dry_run:
            result.enrolled += 1
        else:
            try:
                made = self._membership.enrol(scope, read.new)
            except MemberExists as known:  # enrolled at a desk since we looked
                return Duplicate(read.line, known.card_no, None)
            result.enrolled += 1
            self._open(scope, made.member_id, read, result)
        return None

    def _came_before(self, conn: Connection, scope: Scope, holder: UUID, name: str) -> bool:
        """Whether who has a row's number came with an earlier import: an old system without numbers of its own leaves
        the phone number and the name to know them by."""
        row = repository.member(conn, scope, holder, whole_chain=True)
        return row is not None and row.source == "import" and names.folded(self._reader.name(row)) == names.folded(name)

    def _open(self, scope: Scope, member_id: UUID, read: _Read, result: MemberImportResult) -> None:
        """Give a member what the file says they had, as far as no file gave it before."""
        if read.tier:
            result.tiers_left += not self._openings.tier(scope, member_id, read.tier)
        key = read.new.external_no or str(member_id)
        result.opened += self._openings.points(scope, member_id, read.points, key, read.new.home_store)

    def _read(
        self,
        line: Row,
        columns: Mapping[str, int],
        kinds: Mapping[str, FieldKind],
        store_id: str,
        country: str,
        basis: str,
    ) -> _Read:
        def cell(column: str) -> str:
            place = columns.get(column)
            return line.cells[place].strip() if place is not None and place < len(line.cells) else ""

        born = _date(cell("birthday"))
        check_birthday(born, self._clock())
        number = phones.e164(cell("phone"), country)
        custom: dict[str, Given] = {
            column.removeprefix("custom."): _answer(kinds.get(column.removeprefix("custom.")), cell(column))
            for column in columns
            if column.startswith("custom.") and cell(column)
        }
        new = NewMember(
            name=names.clean(cell("name")),
            phone=number,
            home_store=store_id,
            consents=list(_consents(basis.strip(), cell("marketing"))),
            birthday=born,
            source="import",
            staff=cell("staff"),
            campaign=cell("campaign"),
            advisor=cell("advisor"),
            tags=[tag.strip() for tag in cell("tags").replace("；", ";").split(";") if tag.strip()],
            custom=custom,
            external_no=cell("external_no") or None,
        )
        return _Read(line.line, new, number, _points(cell("points")), cell("tier"))


def recognised(header: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Where each of our columns is, by the mapping and by what headers commonly say; some may be missing.

    Raises:
        InvalidInput: an empty file, or a mapping that names what isn't there.
    """
    if not any(header):
        raise InvalidInput("the file is empty", field="file", remedy="it needs a header and a row for each member")
    names_ = [each.casefold() for each in header]
    found: dict[str, int] = {}
    for ours, known in COLUMNS.items():
        places = [names_.index(name) for name in known if name in names_]
        if places and ours not in mapping:
            found[ours] = places[0]
    for ours, theirs in mapping.items():
        if ours not in COLUMNS and not ours.startswith("custom."):
            raise InvalidInput(f"there is no column {ours!r} of ours", field=ours, remedy=f"use {', '.join(COLUMNS)}")
        if not theirs:
            continue
        if theirs.casefold() not in names_:
            raise InvalidInput(f"the file has no column {theirs!r}", field=ours, remedy=f"it has {', '.join(header)}")
        found[ours] = names_.index(theirs.casefold())
    return found


def _check_needed(found: Mapping[str, int]) -> None:
    for needed in ("name", "phone"):
        if needed not in found:
            raise InvalidInput(
                f"the file has no column for the {needed}", field=needed, remedy="name it in the mapping"
            )


def _date(text: str) -> date | None:
    if not text:
        return None
    for form in _DATES:
        try:
            return datetime.strptime(text.partition(" ")[0], form).date()  # noqa: DTZ007  a birthday is of no zone
        except ValueError:
            continue
    raise InvalidInput("this is no date", field="birthday", remedy="write it as 1990-05-17")


def _points(text: str) -> int:
    if not text:
        return 0
    whole = text.replace(",", "").removesuffix(".0").removesuffix(".00")
    if not whole.isdecimal():
        raise InvalidInput("these are no whole points", field="points", remedy="write them as 1200")
    points = int(whole)
    check_points(points)
    return points


def _answer(kind: FieldKind | None, text: str) -> Given:
    """What a cell says, as a field of this kind takes it; what it can't be is refused there."""
    if kind == "choices":
        return [each.strip() for each in text.replace("；", ";").split(";") if each.strip()]
    if kind == "boolean" and text.casefold() in _TRUE | _FALSE:
        return text.casefold() in _TRUE
    return text


def _consents(basis: str, marketing: str) -> Iterator[NewConsent]:
    said = marketing.casefold()
    if said not in _TRUE | _FALSE:
        raise InvalidInput("this is neither yes nor no", field="marketing", remedy="write yes or no")
    yield NewConsent("membership", granted=True, wording=basis, channel="import")
    yield NewConsent("marketing", granted=said in _TRUE, wording=basis, channel="import")


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
