"""A row of a file of members, read as far as it can be by itself: what each column is called, and what may stand in it.

The trap is the cell that looks right. A day of joining is a day of the store's calendar, not midnight in London, or
whoever joined on the first is in the cohort of the month before; "1.200" is twelve hundred to one country and one and a
fifth to another, and money that is guessed at is somebody's money. So what can be read in two ways is refused.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from server.errors import InvalidInput
from server.files.sheets import Row
from server.membership import names, phones
from server.membership.fields import CustomField, FieldKind, Given, check_answers
from server.membership.import_repository import Home
from server.membership.models import NewConsent, NewMember
from server.membership.opening import check_points
from server.membership.service import check_birthday
from server.membership.stored_value import parts
from server.membership.stored_value.models import NOTHING

#: Our columns, and what headers call them.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "姓名", "会员姓名", "名字"),
    "phone": ("phone", "mobile", "手机号", "手机", "电话", "手机号码"),
    "birthday": ("birthday", "birth date", "生日", "出生日期"),
    "external_no": ("external_no", "member no", "会员号", "会员编号", "卡号"),
    "store": ("store", "home_store", "home store", "归属门店", "所属门店", "开卡门店", "入会门店"),
    "enrolled_at": ("enrolled_at", "joined", "join date", "入会日期", "入会时间", "注册时间", "开卡日期", "开卡时间"),
    "points": ("points", "积分", "可用积分"),
    "points_expire": ("points_expire", "points expire", "积分有效期", "积分到期日", "积分到期"),
    "principal": ("principal", "本金", "储值本金", "本金余额"),
    "bonus": ("bonus", "赠送金", "赠金", "赠送余额"),
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
_MONEY: Final = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
#: Thousands to one country, parts of one to another.
_EITHER: Final = re.compile(r"\d{1,3}\.\d{3}")
_FIRST_DAY: Final = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row, checked as far as it can be by itself.

    Attributes:
        number: the phone number (E.164).
        points_expire: when the points expire (UTC); None where the file has no date, and the rules of points say.
        principal: money on account that was paid for, `bonus` that was given on top, in the store's currency.
    """

    line: int
    new: NewMember
    number: str
    points: int
    points_expire: datetime | None
    principal: Decimal
    bonus: Decimal
    tier: str


class RowReader:
    """Reads the rows of one file.

    Args:
        columns: where each of our columns is.
        homes: the stores a row may name; `home`, among them, is that of rows which name none.
        own: the chain's own fields.
        tiers: those that can be given.
        basis: what these people agreed to, as it stands on record.
        now: of the file (aware).
    """

    def __init__(
        self,
        columns: Mapping[str, int],
        homes: Sequence[Home],
        home: Home,
        own: Sequence[CustomField],
        tiers: Collection[str],
        basis: str,
        now: datetime,
    ) -> None:
        self._columns = columns
        self._home = home
        self._by_id = {each.store_id: each for each in homes}
        self._by_name: dict[str, list[Home]] = {}
        for each in homes:
            self._by_name.setdefault(each.name.casefold(), []).append(each)
        self._own = own
        self._kinds = {each.field: each.kind for each in own}
        self._tiers = tiers
        self._basis = basis.strip()
        self._now = now

    def read(self, line: Row) -> ReadRow:
        """What a row says.

        Raises:
            InvalidInput: for the column whose cell can't be.
        """

        def cell(column: str) -> str:
            place = self._columns.get(column)
            return line.cells[place].strip() if place is not None and place < len(line.cells) else ""

        home = self._home_of(cell("store"))
        born = _date(cell("birthday"), "birthday")
        check_birthday(born, self._now)
        custom: dict[str, Given] = {
            column.removeprefix("custom."): _answer(self._kinds.get(column.removeprefix("custom.")), cell(column))
            for column in self._columns
            if column.startswith("custom.") and cell(column)
        }
        new = NewMember(
            name=names.clean(cell("name")),
            phone=phones.e164(cell("phone"), home.country),
            home_store=home.store_id,
            consents=list(_consents(self._basis, cell("marketing"))),
            birthday=born,
            source="import",
            staff=cell("staff"),
            campaign=cell("campaign"),
            advisor=cell("advisor"),
            tags=[tag.strip() for tag in cell("tags").replace("；", ";").split(";") if tag.strip()],
            custom=custom,
            external_no=cell("external_no") or None,
            joined_at=self._joined(cell("enrolled_at"), born, home),
        )
        points = _points(cell("points"))
        read = ReadRow(
            line=line.line,
            new=new,
            number=new.phone,
            points=points,
            points_expire=self._expire(cell("points_expire"), home) if points else None,
            principal=_money(cell("principal"), "principal"),
            bonus=_money(cell("bonus"), "bonus"),
            tier=cell("tier"),
        )
        check_answers(self._own, custom)
        if read.tier and read.tier not in self._tiers:
            raise InvalidInput(
                f"there is no tier {read.tier!r}", field="tier", remedy=f"use one of {', '.join(sorted(self._tiers))}"
            )
        return read

    def _home_of(self, text: str) -> Home:
        """By its id, else by its whole name where that is one store's."""
        if not text:
            return self._home
        found = self._by_id.get(text)
        if found is not None:
            return found
        named = self._by_name.get(text.casefold(), [])
        if len(named) != 1:
            what = "goes by more than one of your stores" if named else "is none of your stores"
            raise InvalidInput(f"{text!r} {what}", field="store", remedy="use the store's id, or leave it empty")
        return named[0]

    def _joined(self, text: str, born: date | None, home: Home) -> datetime | None:
        day = _date(text, "enrolled_at")
        if day is None:
            return None
        zone = ZoneInfo(home.timezone)
        if not max(_FIRST_DAY, born or _FIRST_DAY) <= day <= self._now.astimezone(zone).date():
            raise InvalidInput(
                f"nobody can have joined on {day}",
                field="enrolled_at",
                remedy="give a day that is not in the future, nor before the birthday, or leave it empty",
            )
        # Noon there: the same day in UTC, in which stages and cohorts are reckoned.
        return min(datetime.combine(day, time(12), zone).astimezone(UTC), self._now)

    def _expire(self, text: str, home: Home) -> datetime | None:
        day = _date(text, "points_expire")
        if day is None:
            return None
        if not day < date.max:
            raise InvalidInput("this is no date", field="points_expire", remedy="leave it empty: the rules say when")
        end = datetime.combine(day + timedelta(days=1), time(0), ZoneInfo(home.timezone)).astimezone(UTC)
        if end <= self._now:
            raise InvalidInput(
                f"these points expired on {day}", field="points_expire", remedy="give no points, or a day to come"
            )
        return end


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


def check_needed(found: Mapping[str, int]) -> None:
    """Whether a file has the columns that no member can do without.

    Raises:
        InvalidInput: for the one that is missing.
    """
    for needed in ("name", "phone"):
        if needed not in found:
            raise InvalidInput(
                f"the file has no column for the {needed}", field=needed, remedy="name it in the mapping"
            )


def _date(text: str, field: str) -> date | None:
    if not text:
        return None
    for form in _DATES:
        try:
            return datetime.strptime(re.split("[ T]", text, maxsplit=1)[0], form).date()  # noqa: DTZ007  of no zone yet
        except ValueError:
            continue
    raise InvalidInput("this is no date", field=field, remedy="write it as 1990-05-17")


def _points(text: str) -> int:
    if not text:
        return 0
    whole = text.replace(",", "").removesuffix(".0").removesuffix(".00")
    if not whole.isdecimal():
        raise InvalidInput("these are no whole points", field="points", remedy="write them as 1200")
    points = int(whole)
    check_points(points)
    return points


def _money(text: str, field: str) -> Decimal:
    plain = text.strip("¥￥ ")
    if not plain:
        return NOTHING
    if _EITHER.fullmatch(plain) or not plain.isascii() or not _MONEY.fullmatch(plain):
        raise InvalidInput(f"{text!r} is no amount of money", field=field, remedy="write it as 1200.50")
    amount = Decimal(plain.replace(",", ""))
    return parts.money(amount, field) if amount else NOTHING


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
