"""When somebody goes up or down: up at once, down at the end of a period, after a grace. Pure.

What a member reached is kept for a period from that day on, whatever comes; only at its end it is looked at whether
it was earned again. So a good December is worth a year, and a refund in January takes nobody's card away.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from server.membership.tiers.rules import Activity, TierRules

Why = Literal["earned", "period", "given", "merged", "parted"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member stands.

    Attributes:
        since: when the tier was reached (UTC).
        period_end: when it is looked at whether it was earned again; None: no period runs.
        grace_until: until when it is kept although it was not.
    """

    tier: str
    since: datetime
    period_end: datetime | None = None
    grace_until: datetime | None = None


def decide(standing: Standing, done: Activity, rules: TierRules, now: datetime) -> Standing:
    """Where somebody stands now; the same again where nothing changes.

    A tier that the rules don't know (any more) counts as the lowest.

    Args:
        done: within the rules' window until now.
    """
    has, earned = rules.rank(standing.tier), rules.earned(done)
    if earned > has or rules.levels[has].slug != standing.tier:
        return _reached(rules, earned, now)
    if has == 0:
        return standing
    if standing.period_end is None:
        # What was given for good is kept for good, unless rules come to ask something for it.
        is_asked = rules.levels[has].asks_for_something
        return replace(standing, period_end=_end(rules, now)) if is_asked else standing
    if now < standing.period_end:
        return standing
    if earned == has:
        return replace(standing, period_end=_end(rules, now), grace_until=None)
    grace_until = standing.grace_until or standing.period_end + timedelta(days=rules.grace_days)
    if now < grace_until:
        return replace(standing, grace_until=grace_until)
    return _reached(rules, earned if rules.down == "fit" else has - 1, now)


def given(rules: TierRules, tier: str, now: datetime, until: datetime | None) -> Standing:
    """Where somebody stands who was given a tier, until a moment or for a period."""
    return Standing(tier, now, None if rules.rank(tier) == 0 else until or _end(rules, now))


def window_start(rules: TierRules, now: datetime) -> datetime:
    """From when on what somebody did counts (UTC)."""
    return months_from(now, -rules.window_months)


def months_from(at: datetime, months: int) -> datetime:
    """The same day and time (UTC) of another month, or that month's last day."""
    at = at.astimezone(UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    for day in (at.day, 30, 29, 28):
        try:
            return at.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")


def _reached(rules: TierRules, rank: int, now: datetime) -> Standing:
    return Standing(rules.levels[rank].slug, now, None if rank == 0 else _end(rules, now))


def _end(rules: TierRules, now: datetime) -> datetime:
    return months_from(now, rules.period_months)
