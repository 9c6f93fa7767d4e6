"""What happened, told to whoever has to act on it, exactly once: below all packages that tell and all that listen.

A package that called another's code when something happens would tie the two together and make the writer wait for
it; one that looked at the other's tables would miss what changed between two looks. Here a writer leaves an event in
its own transaction, and a consumer takes it in the transaction in which it acts.
"""

from server.events.models import JSON, Event, Lag, NewEvent
from server.events.outbox import forget, lags, record, record_all, record_selected, take
from server.events.retention import EventRetention

__all__ = [
    "JSON",
    "Event",
    "EventRetention",
    "Lag",
    "NewEvent",
    "forget",
    "lags",
    "record",
    "record_all",
    "record_selected",
    "take",
]
