"""Everything that is kept of one person, for that person: as JSON for a program, as a PDF for a reader.

PIPL 45 and GDPR 15 and 20. Membership's own part stands here, every other package brings its own (`rights`). It is the
one place where a whole number leaves other than by a reveal, and is audited like one. What others wrote of the person
is in it, too: notes for headquarters are the person's to read.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Locale, Role, Scope
from server.errors import Forbidden
from server.events.models import JSON
from server.membership import field_repository
from server.membership import rights_repository as repository
from server.membership.crypto import Field
from server.membership.fields import CustomField
from server.membership.over_parts import OverParts
from server.membership.reading import no_member
from server.membership.rights import Section, Words
from server.membership.rights_repository import Person
from server.storage.pool import Connection

#: An export is handed to whoever asks at the counter; who hands it out must be able to tell that it is the person.
EXPORTERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
#: Lines of the trail in an export: the newest.
_MOST_TRACES: Final = 1000
_WORDS: Final[Mapping[str, Words]] = {
    "profile": {"zh": "基本信息", "en": "Profile"},
    "consents": {"zh": "同意记录", "en": "Consents"},
    "old_numbers": {"zh": "曾用手机号", "en": "Numbers of before"},
    "notes": {"zh": "备注", "en": "Notes"},
    "attachments": {"zh": "附件", "en": "Attachments"},
    "receipts": {"zh": "消费记录", "en": "Receipts"},
    "trail": {"zh": "处理记录", "en": "Who did what with your data"},
    "what": {"zh": "项目", "en": "what"},
    "value": {"zh": "内容", "en": "value"},
    "name": {"zh": "姓名", "en": "Name"},
    "phone": {"zh": "手机号", "en": "Phone"},
    "phone_verified_at": {"zh": "手机号验证时间", "en": "Phone verified at"},
    "birthday": {"zh": "生日", "en": "Birthday"},
    "card": {"zh": "卡号", "en": "Card"},
    "tier": {"zh": "等级", "en": "Tier"},
    "home_store": {"zh": "所属门店", "en": "Home store"},
    "enrolled_at": {"zh": "入会时间", "en": "Enrolled at"},
    "enrolled_store": {"zh": "入会门店", "en": "Enrolled in"},
    "source": {"zh": "来源", "en": "Source"},
    "campaign": {"zh": "活动", "en": "Campaign"},
    "staff": {"zh": "入会导购", "en": "Enrolled through"},
    "advisor": {"zh": "专属导购", "en": "Advisor"},
    "tags": {"zh": "标签", "en": "Tags"},
    "external_no": {"zh": "原系统会员号", "en": "Number in the former system"},
    "merged": {"zh": "合并的会员", "en": "Merged members"},
    "purpose": {"zh": "目的", "en": "purpose"},
    "granted": {"zh": "是否同意", "en": "agreed"},
    "reach": {"zh": "联系方式", "en": "way"},
    "channel": {"zh": "渠道", "en": "channel"},
    "version": {"zh": "版本", "en": "version"},
    "wording": {"zh": "告知内容", "en": "wording"},
    "by": {"zh": "经办人", "en": "by"},
    "at": {"zh": "时间", "en": "time"},
    "until": {"zh": "截至", "en": "until"},
    "why": {"zh": "原因", "en": "why"},
    "text": {"zh": "内容", "en": "text"},
    "file": {"zh": "文件名", "en": "file"},
    "size": {"zh": "字节", "en": "bytes"},
    "type": {"zh": "类型", "en": "type"},
    "store": {"zh": "门店", "en": "store"},
    "receipt": {"zh": "小票号", "en": "receipt"},
    "kind": {"zh": "类别", "en": "kind"},
    "currency": {"zh": "币种", "en": "currency"},
    "gross": {"zh": "金额", "en": "amount"},
    "voided": {"zh": "已作废", "en": "voided"},
    "action": {"zh": "操作", "en": "action"},
}


@dataclass(frozen=True, slots=True)
class Export:
    """Everything kept of one member.

    Attributes:
        made_at: UTC.
        sections: membership's own first, then each package's in the order of its registration.
    """

    member_id: UUID
    made_at: datetime
    made_by: str
    sections: list[Section]

    def as_json(self) -> bytes:
        """For programs: an object with an array of objects for each section; UTF-8."""
        document = {
            "member_id": str(self.member_id),
            "made_at": self.made_at.isoformat(),
            "sections": {section.key: [dict(row) for row in section.rows] for section in self.sections},
        }
        return json.dumps(document, ensure_ascii=False, indent=2).encode()


def require_homes(scope: Scope, people: Iterable[Person]) -> None:
    """Whoever hands out or erases answers for the homes of all: a merge brings nobody into another store's hands.

    Raises:
        Forbidden: one of them is at home elsewhere.
    """
    if not all(scope.allows(person.home_store) for person in people):
        raise Forbidden(
            "the home of this member, or of one merged into it, is not one of your stores",
            field="member_id",
            remedy="ask someone of that store, or headquarters",
        )


class Exports(OverParts):
    """Gives members what is kept of them."""

    def export(self, scope: Scope, member_id: UUID) -> Export:
        """Everything that is kept of a member of the caller's own stores; it is in the audit trail.

        Raises:
            NotFound: when there is no member the caller may know of.
            Forbidden: for a desk, and for a member whose home is elsewhere.
        """
        scope.require_role(*EXPORTERS)
        now = self._clock()
        with self._db.transaction() as conn:
            row = self._reader.row(conn, scope, member_id)
            people = repository.family(conn, scope, row.member_id)
            if not people:
                raise no_member(member_id)
            require_homes(scope, people)
            ids = [person.member_id for person in people]
            sections = self._own(conn, scope, people, ids)
            for part in self._parts:
                sections += part.export(conn, scope, ids)
            detail: dict[str, object] = {"sections": [section.key for section in sections]}
            audit.record(
                conn,
                now,
                scope.actor,
                "member.export",
                subject=str(row.member_id),
                store_id=row.home_store,
                detail=detail,
            )
        return Export(row.member_id, now, scope.actor, sections)

    def _own(self, conn: Connection, scope: Scope, people: list[Person], ids: list[UUID]) -> list[Section]:
        consents = repository.consents(conn, scope, ids)
        numbers = repository.old_phones(conn, scope, ids)
        notes = repository.notes(conn, scope, ids)
        files = repository.attachments(conn, scope, ids)
        bought = repository.bought(conn, scope, ids)
        trail = repository.traces(conn, ids, _MOST_TRACES)
        open_ = self._keys.decrypt
        return [
            self._profile(conn, scope, people, ids),
            _table(
                "consents",
                ("at", "purpose", "reach", "granted", "channel", "version", "by", "wording"),
                (
                    (
                        *(_time(each.at), each.purpose, each.reach, each.granted, each.channel),
                        *(each.version, each.recorded_by, each.wording),
                    )
                    for each in consents
                ),
            ),
            _table(
                "old_numbers",
                ("phone", "until", "why"),
                (
                    (open_(each.member_id, "phone", each.phone_enc, each.key_id), _time(each.until_at), each.why)
                    for each in numbers
                ),
            ),
            _table(
                "notes",
                ("at", "by", "text"),
                (
                    (_time(each.written_at), each.written_by, open_(each.note_id, "note", each.text_enc, each.key_id))
                    for each in notes
                ),
            ),
            _table(
                "attachments",
                ("at", "by", "name", "type", "size"),
                (
                    (
                        *(_time(each.added_at), each.added_by),
                        *(open_(each.attachment_id, "file_name", each.name_enc, each.key_id), each.media_type),
                        each.size,
                    )
                    for each in files
                ),
                name="file",
            ),
            _table(
                "receipts",
                ("at", "store", "receipt", "kind", "channel", "currency", "gross", "voided"),
                (
                    (
                        *(_time(each.at), each.store_id, each.receipt_no, each.kind, each.channel),
                        *(each.currency, each.gross, each.voided),
                    )
                    for each in bought
                ),
            ),
            _table("trail", ("at", "by", "action"), ((_time(each.at), each.actor, each.action) for each in trail)),
        ]

    def _profile(self, conn: Connection, scope: Scope, people: list[Person], ids: list[UUID]) -> Section:
        """What names the person, a row a fact; of whoever was merged, what differs."""
        fields = {each.field: each for each in field_repository.fields(conn)}
        facts: list[tuple[str, JSON]] = []
        for person in people:
            for what, value in self._facts(person):
                if value not in {None, ""} and (what, value) not in facts:
                    facts.append((what, value))
        facts.append(("tags", ", ".join(repository.tags(conn, scope, ids))))
        facts.append(("merged", ", ".join(str(each.member_id) for each in people if each.merged_into is not None)))
        rows: list[dict[str, JSON]] = [
            {"what": what, "value": value, **_named(fields.get(what.removeprefix("custom.")), what, value)}
            for what, value in facts
            if value not in {None, ""}
        ]
        columns = {"what": _WORDS["what"], "value": _WORDS["value"]}
        return Section("profile", _WORDS["profile"], columns, rows)

    def _facts(self, person: Person) -> list[tuple[str, JSON]]:
        custom = self._open(person, "custom", person.custom_enc)
        answers: dict[str, JSON] = json.loads(custom) if custom else {}
        return [
            ("name", self._open(person, "name", person.name_enc)),
            ("phone", self._open(person, "phone", person.phone_enc)),
            ("phone_verified_at", _time(person.phone_verified_at) if person.phone_verified_at else None),
            ("birthday", self._open(person, "birthday", person.birthday_enc)),
            ("card", person.card_no),
            ("tier", person.tier),
            ("home_store", person.home_store),
            ("enrolled_at", _time(person.enrolled_at)),
            ("enrolled_store", person.enrolled_store),
            ("source", person.source),
            ("campaign", person.campaign),
            ("staff", person.staff),
            ("advisor", person.advisor),
            ("external_no", person.external_no),
            *((f"custom.{field}", _told(answer)) for field, answer in sorted(answers.items())),
        ]

    def _open(self, person: Person, field: Field, data: bytes | None) -> str | None:
        return None if data is None else self._keys.decrypt(person.member_id, field, data, person.key_id)


def words_of(what: str, locale: Locale) -> str:
    """A fact's name in a language; one that has none stands as it is."""
    found = _WORDS.get(what)
    return what if found is None else found[locale]


def _named(field: CustomField | None, what: str, value: JSON) -> dict[str, JSON]:
    """The chain's own label of a custom field, and of what was chosen, which no catalogue has."""
    if field is None or not what.startswith("custom."):
        return {}
    named: dict[str, JSON] = {"label": {str(locale): text for locale, text in field.labels.items()}}
    labels = {option.value: option.labels for option in field.rules.options}
    if labels and isinstance(value, str):
        chosen = [labels[each] for each in value.split(", ") if each in labels]
        named["shown"] = {
            str(locale): ", ".join(each[locale] for each in chosen) if chosen else value for locale in field.labels
        }
    return named


def _table(key: str, columns: tuple[str, ...], rows: Iterable[tuple[JSON, ...]], **heads: str) -> Section:
    """A table; `heads` are words for columns whose own would mislead."""
    made = [dict(zip(columns, row, strict=True)) for row in rows]
    return Section(key, _WORDS[key], {column: _WORDS[heads.get(column, column)] for column in columns}, made)


def _told(answer: JSON) -> JSON:
    return ", ".join(str(each) for each in answer) if isinstance(answer, list) else answer


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
