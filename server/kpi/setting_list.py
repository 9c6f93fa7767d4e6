"""The settings that KPIs are made with, to be looked at: what holds, since when, and who said so."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from server.access.models import Scope
from server.kpi.days.facts import DaySettings
from server.kpi.setting_repository import SettingVersion, versions
from server.storage.pool import Database

_DEFAULTS: Final = DaySettings()
#: What holds where nobody ever said anything.
DEFAULTS: Final[Mapping[str, Decimal]] = {
    "coverage_threshold": Decimal(str(_DEFAULTS.threshold)),
    "power_share": Decimal(str(_DEFAULTS.power_share)),
    "takes_check_ins": Decimal(int(_DEFAULTS.takes_check_ins)),
}


class SettingList:
    """Tells what was set."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def versions(self, scope: Scope) -> list[SettingVersion]:
        """Every version, by key and store, the latest first; the chain's own has no store.

        Raises:
            Forbidden: unless admin or HQ asks.
        """
        scope.require_role("admin", "hq")
        with self._db.read() as conn:
            return versions(conn, scope)
