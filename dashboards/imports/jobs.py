"""A file that is brought in, in a reader's words: how far it is, what became of it, and what is wrong with its rows.

The services tell reasons in English, for programs and for the file of errors. A page says by the field what to look
for, in the reader's language, and has the exact words beside it for whoever asks us.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale
from server.membership.imports.models import MemberImportJob, RefusedMember
from server.sales.models import ImportJob, RefusedRow
from server.stores.models import Store

_STATES: Final = {
    "waiting": (N_("Waiting"), ""),
    "running": (N_("Running"), ""),
    "done": (N_("Done"), "good"),
    "failed": (N_("Failed"), "bad"),
    "cancelled": (N_("Stopped"), "warn"),
}
#: So many refused rows stand on the page; all of them are in the file.
MOST_SHOWN: Final = 100
_LINE: Final = re.compile(r"^lines\[\d+\]\.")
#: What to look for, by the field that was refused.
_WRONG: Final = {
    "receipt_no": N_("The receipt number: empty, too long, known with other content, or scattered over the file."),
    "at": N_("The date and time: write them as 2026-11-16 14:30, and not in the future."),
    "date": N_("The date: write it as 2026-11-16, or say in which order day and month stand."),
    "time": N_("The time: write it as 14:30."),
    "kind": N_("The kind: sale, refund or void, or a word that is set for one of them."),
    "channel": N_("The channel: till, online or pick-up."),
    "sku": N_("The article number: empty or too long."),
    "quantity": N_("The quantity: a number other than nought."),
    "unit_price": N_("The price: a number with at most two decimals."),
    "discount": N_("The discount: no more than the line itself."),
    "cost": N_("The cost: a number, without a minus."),
    "gross": N_("The total: it doesn't agree with the lines, or is no amount."),
    "tax": N_("The tax: on all lines or on none, and say whether prices include it."),
    "tax_included": N_("Whether the tax is included: yes or no."),
    "units": N_("The number of pieces: a number, and none below nought."),
    "currency": N_("The currency: it must be the store's."),
    "refers_to": N_("The receipt that is referred to: a void needs its number."),
    "member": N_("The member: card, phone number or id."),
    "name": N_("The name: empty or too long."),
    "phone": N_("The phone number: not a complete one."),
    "duplicate": N_("The phone number belongs to somebody: a member, or an earlier line."),
    "birthday": N_("The birthday: write it as 1990-05-17."),
    "points": N_("The points: whole ones, and no minus."),
    "tier": N_("The tier: there is none by that name."),
    "store": N_("The home store: its id or its whole name, and one of yours."),
    "enrolled_at": N_("The day of joining: write it as 2021-05-17, not in the future and not before the birthday."),
    "points_expire": N_("The day the points expire: write it as 2027-12-31, and not in the past."),
    "principal": N_("The stored value: an amount such as 1200.50, and no more than may be on a card."),
    "bonus": N_("The bonus of stored value: an amount such as 100.00."),
    "marketing": N_("Whether they agree to marketing: yes or no."),
    "external_no": N_("The member number of the old system: it belongs to somebody else."),
}
_ELSE: Final = N_("This row can't be taken as it is.")
_WITH: Final = N_("Another line of the same receipt is to blame.")


def job_line(job: ImportJob | MemberImportJob, stores: Sequence[Store], locale: Locale, *, base: str) -> dict[str, Any]:
    """A file as a line of a list, and as the head of its own page.

    Args:
        base: address of the list's jobs, such as ``/imports/receipts``.
    """
    gettext, fmt = translations(locale).gettext, Formats(locale)
    words, kind = _STATES[job.state]
    wrong = job.error_count + (job.duplicate_count if isinstance(job, MemberImportJob) else 0)
    store = next((each for each in stores if each.store_id == job.store_id), None)
    zone = store.timezone if store else "UTC"
    return {
        "href": f"{base}/{job.import_id}",
        "file": job.file_name or gettext(N_("without a name")),
        "store": store.name if store else job.store_id,
        "store_id": job.store_id,
        "state": gettext(words),
        "code": job.state,
        "is_workbook": job.is_workbook,
        "kind": kind,
        "is_over": job.finished_at is not None,
        "is_stopping": job.cancel_asked and job.finished_at is None,
        "dry_run": job.dry_run,
        "share": _share(job),
        "share_text": "" if _share(job) is None else fmt.percent(_share(job), 0),
        "rows": fmt.number(job.rows),
        "counts": [(gettext(label), fmt.number(number), mark) for label, number, mark in _counts(job)],
        "wrong": wrong,
        "wrong_text": fmt.number(wrong),
        "started": _moment(job.started_at, fmt, zone),
        "finished": _moment(job.finished_at, fmt, zone) if job.finished_at else "",
        "by": job.started_by,
        "reason": job.reason,
    }


def errors_of(rows: Iterable[RefusedRow | RefusedMember], locale: Locale) -> list[dict[str, str]]:
    """The first refused rows: line, what to look for, and the exact words."""
    gettext, fmt = translations(locale).gettext, Formats(locale)
    return [
        {
            "line": fmt.number(row.line),
            "number": (row.receipt_no or "") if isinstance(row, RefusedRow) else "",
            "what": gettext(what_is_wrong(row.field) if row.reason else _WITH),
            "exact": f"{row.reason}; {row.remedy}" if row.reason else "",
        }
        for row in islice(rows, MOST_SHOWN)
    ]


def what_is_wrong(field: str | None) -> str:
    """What to look for in a field that was refused; to be translated where it is shown."""
    plain = _LINE.sub("", field or "")
    if plain.startswith("custom."):
        return N_("A field of the chain's own: its answer doesn't fit.")
    return _WRONG.get(plain, _WRONG["member"] if plain.startswith("member") else _ELSE)


def _share(job: ImportJob | MemberImportJob) -> float | None:
    """How much of the file is read; None where nobody can know, as of a workbook."""
    if job.state == "done":
        return 1.0
    if isinstance(job, MemberImportJob) or not job.size or not job.done:
        return None
    return min(1.0, job.done / job.size)


def _counts(job: ImportJob | MemberImportJob) -> list[tuple[str, int, str]]:
    if isinstance(job, MemberImportJob):
        return [
            (N_("would be enrolled") if job.dry_run else N_("enrolled"), job.enrolled, ""),
            (N_("came before"), job.known, ""),
            (N_("opening balances"), job.opened, ""),
            *([(N_("tiers left as they are"), job.tiers_left, "")] if job.tiers_left else []),
            (N_("numbers taken"), job.duplicate_count, "warn" if job.duplicate_count else ""),
            (N_("refused"), job.error_count, "bad" if job.error_count else ""),
        ]
    return [
        (N_("would be taken") if job.dry_run else N_("taken"), job.accepted, ""),
        (N_("known already"), job.repeated, ""),
        (N_("in conflict"), job.conflicts, "warn" if job.conflicts else ""),
        (N_("refused"), job.rejected, "bad" if job.rejected else ""),
        (N_("without their member"), job.note_count, ""),
    ]


def _moment(at: datetime, fmt: Formats, zone: str) -> str:
    return f"{fmt.local_day(at, zone)} {fmt.clock(at, zone)}"
