"""Why a number is withheld, in a shop's words: the KPI package gives codes, people get sentences.

A code this page has not heard of still gets a sentence, so that a new reason on the server never shows as a blank.
"""

from dataclasses import dataclass
from typing import Final

from dashboards.i18n import N_


@dataclass(frozen=True, slots=True)
class Reason:
    """A short label for a table's cell and a sentence saying what it means and what to do."""

    short: str
    long: str


_REASONS: Final = {
    "coverage_below_threshold": Reason(
        N_("Cameras missed too much"),
        N_("The cameras did not watch the doors long enough for an honest rate. Check the cameras below."),
    ),
    "no_visitors": Reason(N_("No visitors yet"), N_("Nobody has come in yet, so there is nothing to divide by.")),
    "no_receipts": Reason(N_("No receipts yet"), N_("The till has not sent any receipt for this time yet.")),
    "closed": Reason(N_("Closed"), N_("The store is closed, so there is nothing to count.")),
    "no_cameras": Reason(
        N_("No cameras"), N_("This store has no camera on its doors yet, so visitors can't be counted.")
    ),
    "drift": Reason(
        N_("Ins and outs don't match"),
        N_("More people seem to have left than came in. The count starts afresh at the next business day."),
    ),
    "no_store": Reason(N_("No stores"), N_("There is no store to add up.")),
}
_UNKNOWN: Final = Reason(N_("Not available"), N_("This number can't be given honestly right now."))


def reason(code: str | None) -> Reason:
    """The words for a code."""
    return _REASONS.get(code or "", _UNKNOWN)


def known_codes() -> frozenset[str]:
    """Every code with words of its own."""
    return frozenset(_REASONS)
