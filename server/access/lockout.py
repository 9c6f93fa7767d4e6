"""When a sign-in must wait: back-off per account and address, pure.

Three counters, because one alone is either useless or a weapon: failures of an account from one address (somebody
guessing, or a shaky typist), of an account from everywhere (guessing from many machines), and of an address over all
accounts (one common password tried on everyone; higher, since a whole shop shares one address).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: Failures older than this are forgotten.
WINDOW: Final = timedelta(hours=1)
FREE_OF_PAIR: Final = 5
FREE_OF_ACCOUNT: Final = 20
FREE_OF_ADDRESS: Final = 50
FIRST_WAIT: Final = timedelta(seconds=10)
LONGEST_WAIT: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed sign-ins within the window, and when the newest of each kind was."""

    of_pair: int
    of_account: int
    of_address: int
    last_of_pair: datetime | None
    last_of_account: datetime | None
    last_of_address: datetime | None


def wait_after(count: int, free: int) -> timedelta:
    """How long to wait after `count` failures: nothing below `free`, then 10 s, doubling, at most 15 minutes."""
    if count < free:
        return timedelta(0)
    # 1,024 times ten seconds is far beyond the longest wait; the cap keeps the power small.
    return min(FIRST_WAIT * (1 << min(count - free, 10)), LONGEST_WAIT)


def retry_after(failures: Failures, now: datetime) -> timedelta:
    """How long from `now` (UTC) until the next attempt is taken; zero when it is taken now."""
    longest = timedelta(0)
    for count, free, last in (
        (failures.of_pair, FREE_OF_PAIR, failures.last_of_pair),
        (failures.of_account, FREE_OF_ACCOUNT, failures.last_of_account),
        (failures.of_address, FREE_OF_ADDRESS, failures.last_of_address),
    ):
        if last is not None:
            longest = max(longest, last + wait_after(count, free) - now)
    return longest
