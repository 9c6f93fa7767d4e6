"""Boxes and cameras that went silent: noticed, kept on record, and resolved by themselves once they are heard again.

A dead camera reads as an empty shop, so somebody must be told, and told once: what is on record outlives the process
that noticed it, and a box that is gone takes its cameras with it in one line, not in ten. A camera is looked at with
the same eyes as on the store's page (`stores/health.py`), or the two would contradict each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from threading import Event
from typing import Final

import structlog

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.jobs import silence_repository
from server.jobs.models import Quiet, Silence
from server.storage.pool import Database
from server.stores.health import SILENT_AFTER, camera_health, is_awaited
from server.stores.models import Camera, Device

_log = structlog.get_logger(__name__)

#: Of a box that is not connected, or has said nothing for a while.
SILENT: Final = "silent"
_MOST: Final = 100_000


class Silences:
    """Notices who is silent, and who is back."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def look(self, _stop: Event) -> str | None:
        """Note who went silent since the last look, and who was heard again; what changed, None if nothing."""
        scope = Scope.system("jobs")
        now = self._clock()
        with self._db.transaction() as conn:
            devices = silence_repository.live_devices(conn, scope)
            cameras = silence_repository.cameras_in_service(conn, scope, now)
            known = silence_repository.silences(conn, scope, None, is_open=True, limit=_MOST)
            quiet = {_key(each): each for each in quiet_now(devices, cameras, now)}
            on_record = {_key(each): each for each in known}
            gone = [quiet[key] for key in sorted(quiet.keys() - on_record.keys())]
            back = [on_record[key] for key in sorted(on_record.keys() - quiet.keys())]
            silence_repository.resolve(conn, scope, [each.silence_id for each in back], now)
            silence_repository.insert_silences(conn, gone, now)
        for lost in gone:
            _log.warning(
                "gone silent", store=lost.store_id, box=lost.device_id, camera=lost.camera_id, state=lost.state
            )
        for heard in back:
            _log.info("heard again", store=heard.store_id, box=heard.device_id, camera=heard.camera_id)
        words = [f"{what}: {_names(which)}" for what, which in (("silent", gone), ("back", back)) if which]
        return "; ".join(words) or None

    def silences(
        self, scope: Scope, store_id: str | None = None, *, past: bool = False, limit: int = 500
    ) -> list[Silence]:
        """Who is silent in a store, or in all of the scope; the latest noticed first.

        Args:
            past: also silences that ended.

        Raises:
            Forbidden: when the store isn't the caller's.
        """
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return silence_repository.silences(conn, scope, store_id, is_open=not past, limit=limit)


def quiet_now(devices: Sequence[Device], cameras: Sequence[Camera], now: datetime) -> list[Quiet]:
    """Boxes that are silent, and cameras that are not counted although their box is well.

    A box that was only just added has not gone silent: it is given time for its first word.

    Args:
        devices: all live ones.
        cameras: all in service.
        now: UTC.
    """
    by_store: dict[str, list[Device]] = defaultdict(list)
    found: list[Quiet] = []
    silent: set[str] = set()
    for device in devices:
        by_store[device.store_id].append(device)
        heard = device.status_at
        if is_awaited(device, now):
            # Nor are its cameras missed before it has had time to name them.
            silent.add(device.device_id)
        elif heard is None or now - heard > SILENT_AFTER or not (device.status or {}).get("online"):
            silent.add(device.device_id)
            found.append(Quiet(device.store_id, device.device_id, "", SILENT, heard))
    hung: dict[str, list[Camera]] = defaultdict(list)
    for camera in cameras:
        hung[camera.store_id].append(camera)
    for store_id, own in hung.items():
        found += [
            Quiet(store_id, health.device_id or "", health.camera_id, health.state, health.last_seen)
            for health in camera_health(own, by_store[store_id], now, "en")
            if not health.online and health.device_id not in silent
        ]
    return found


def _key(each: Quiet | Silence) -> tuple[str, str, str, str]:
    """A camera that was dark and is covered now is another trouble."""
    return each.store_id, each.device_id, each.camera_id, each.state


def _names(which: Iterable[Quiet | Silence]) -> str:
    return ", ".join(each.camera_id or each.device_id for each in which)
