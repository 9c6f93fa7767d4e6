"""Why a number is withheld, in a shop's words: the KPI package gives codes, people get sentences.

A code this page has not heard of still gets a sentence, so that a new reason on the server never shows as a blank.
"""

from dataclasses import dataclass
from typing import Final

from dashboards.i18n import N_
from server.kpi import models


@dataclass(frozen=True, slots=True)
class Reason:
    """A short label for a table's cell and a sentence saying what it means and what to do."""

    short: str
    long: str


_REASONS: Final = {
    models.COVERAGE_BELOW_THRESHOLD: Reason(
        N_("Low coverage"),
        N_("The cameras missed too much of the opening time for an honest rate. See Cameras for what to do."),
    ),
    models.NO_VISITORS: Reason(N_("No visitors yet"), N_("Nobody has come in, so there is nothing to divide by.")),
    models.NO_RECEIPTS: Reason(N_("No receipts yet"), N_("The tills have not sent anything for this time.")),
    models.NO_TRANSACTIONS: Reason(N_("No sales yet"), N_("Nothing has been sold, so there is no average.")),
    models.NO_PASSERS_BY: Reason(N_("No passers-by"), N_("Nobody was seen passing outside.")),
    models.NO_GROUPS: Reason(N_("No groups"), N_("No group of visitors has come in.")),
    models.NO_ROSTER: Reason(
        N_("No roster"), N_("Nobody has entered who was on the floor; enter the roster to see this number.")
    ),
    models.NO_STAFF_HOURS: Reason(N_("No staff hours"), N_("By the roster nobody was on the floor.")),
    models.NO_CHECK_INS: Reason(
        N_("No check-ins"), N_("This store takes no check-ins, so members who buy nothing are not known.")
    ),
    models.NO_MEMBERS: Reason(N_("No members came"), N_("No member has checked in or bought.")),
    models.CLOSED: Reason(N_("Closed"), N_("The store is closed, so there is nothing to count.")),
    models.NO_CAMERAS: Reason(
        N_("No cameras"), N_("No camera watches a door of this store, so visitors can't be counted.")
    ),
    models.TOO_EARLY: Reason(N_("Too early"), N_("The store has only just opened.")),
    models.DRIFT_TOO_LARGE: Reason(
        N_("Ins and outs don't match"),
        N_("More people left than were seen coming in. The count starts afresh with the next business day."),
    ),
    models.NOT_ADDITIVE: Reason(N_("Can't be added up"), N_("This number only makes sense for one store and day.")),
    models.MIXED_CURRENCIES: Reason(N_("Several currencies"), N_("Amounts in different currencies are not added.")),
    models.NO_DATA: Reason(N_("No data"), N_("Nothing was recorded for this time.")),
}
_UNKNOWN: Final = Reason(N_("Not available"), N_("This number can't be given honestly right now."))


def reason(code: str | None) -> Reason:
    """The words for a code."""
    return _REASONS.get(code or "", _UNKNOWN)


def known_codes() -> frozenset[str]:
    """Every code with words of its own."""
    return frozenset(_REASONS)
