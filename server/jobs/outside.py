"""Jobs that bear on what comes from outside and goes there: webhooks, and rows of files that wait to be corrected."""

from datetime import timedelta
from threading import Event
from typing import Final

from server.clock import Clock, utc_now
from server.membership.crypto import derived_keys
from server.membership.imports import repository as member_import_repository
from server.sales import import_repository
from server.settings import Settings
from server.storage.pool import Database
from server.storage.sealing import Sealer
from server.webhooks.addresses import networks_of
from server.webhooks.posting import Webhooks
from server.webhooks.sending import Sender

#: Rows to be corrected have phone numbers in them, if encrypted; files are remembered for a year.
ROWS_KEPT: Final = timedelta(days=14)
FILES_KEPT: Final = timedelta(days=366)


class WebhookJob:
    """Tells whoever subscribed. Its secrets need the secret key, which a process that only computes days does not."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._webhooks: Webhooks | None = None

    def run(self, stop: Event) -> str | None:
        """Note and deliver what is due; what was done, None when there was nothing, or no secret key."""
        if self._webhooks is None:
            secrets = (
                self._settings.secret_key.get_secret_value(),
                self._settings.old_secret_keys.get_secret_value(),
            )
            if not secrets[0]:
                return None
            sealer = Sealer(derived_keys(*secrets, b"doorline sealed", 32))
            self._webhooks = Webhooks(self._db, sealer, Sender(networks_of(self._settings.webhook_networks)))
        return self._webhooks.run(stop)


class ImportRetention:
    """Deletes rows that were not taken, and what is remembered of files, once they are old."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def run(self, _stop: Event) -> str | None:
        """Delete; what went, None if nothing."""
        now = self._clock()
        with self._db.transaction() as conn:
            gone = import_repository.purge(conn, now - ROWS_KEPT, now - FILES_KEPT)
            gone += member_import_repository.purge(conn, now - ROWS_KEPT, now - FILES_KEPT)
        return f"{gone} rows to correct deleted" if gone else None
