"""What other rules would do, before they are saved: who would move, and what their benefits would cost."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Final

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.membership.points.service import rules_at
from server.membership.tiers import repository, simulation_repository
from server.membership.tiers.models import Mover, TierPair, TierSimulation
from server.membership.tiers.rules import TierRules, check, in_force
from server.membership.tiers.service import RULERS
from server.membership.tiers.standing import window_start
from server.storage.pool import Readable

_YEAR: Final = timedelta(days=365)


class TierSimulations:
    """Tries rules on the members there are; changes nothing.

    Args:
        reading: where reports are read.
    """

    def __init__(self, reading: Readable, clock: Clock = utc_now) -> None:
        self._reading = reading
        self._clock = clock

    def simulate(self, scope: Scope, rules: TierRules, limit: int = 100) -> TierSimulation:
        """Who would be where under new rules once every period has ended, and what benefits cost on last year's spend.

        A discount costs its share of what was spent, a multiplier the value of the points it adds (nothing where the
        rules of points give none in this currency), a birthday gift its value, once a member.

        Args:
            limit: so many of those who would move are listed.

        Raises:
            Forbidden: unless HQ or an admin asks, for the whole chain.
            InvalidInput: the rules can't be meant.
        """
        scope.require_role(*RULERS)
        scope.require_whole_chain()
        check(rules)
        now = self._clock()
        with self._reading.read() as conn:
            _, today = in_force(repository.rules_versions(conn), now)
            point = rules_at(conn, now).value.get(rules.currency, Decimal(0))
            params = simulation_repository.params(today, rules, window_start(rules, now), now - _YEAR, now, point)
            found: list[TierPair] = []
            movers: list[Mover] = []
            for part in repository.slices():
                found += simulation_repository.pairs(conn, params, part)
                if len(movers) < limit:
                    movers += simulation_repository.movers(conn, params, part, limit - len(movers))
        pairs = _together(found)
        return TierSimulation(
            currency=rules.currency,
            members=sum(pair.members for pair in pairs),
            moving=sum(pair.members for pair in pairs if pair.from_tier != pair.to_tier),
            cost_now=sum((pair.cost_now for pair in pairs), Decimal(0)),
            cost_then=sum((pair.cost_then for pair in pairs), Decimal(0)),
            pairs=pairs,
            movers=sorted(movers, key=lambda mover: mover.card_no),
        )


def _together(found: Iterable[TierPair]) -> list[TierPair]:
    """Pairs of all slices, each once."""
    sums: dict[tuple[str, str], TierPair] = {}
    for pair in found:
        key = pair.from_tier, pair.to_tier
        before = sums.get(key, TierPair(*key, 0, Decimal(0), Decimal(0)))
        sums[key] = TierPair(
            *key, before.members + pair.members, before.cost_now + pair.cost_now, before.cost_then + pair.cost_then
        )
    return [sums[key] for key in sorted(sums)]
