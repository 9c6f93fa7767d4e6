"""An event as it is told and as it is taken.

A body is read by other packages and sent to other companies' machines, so it names people by id alone: no name, no
phone number, no birthday. Amounts are strings, because a JSON number becomes a float in most hands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

#: What a body may hold; a float is left out on purpose. Raw is JSON already.
JSON: TypeAlias = "bool | int | str | Sequence[JSON] | Mapping[str, JSON] | msgspec.Raw | None"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happens in the transaction that records it.

    Attributes:
        kind: what, as ``receipt.recorded``: who it is about, and a verb in the past.
        store_id: where; None for what belongs to no store.
        subject: what it happened to: an id, for a receipt ``store/receipt_no``.
        body: what a consumer needs to know of it; nothing that names a person.
    """

    kind: str
    store_id: str | None
    subject: str
    body: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and was committed.

    Attributes:
        event_id: its number; unique, and in no order of time.
        at: when the transaction that recorded it began (UTC).
    """

    event_id: int
    kind: str
    store_id: str | None
    subject: str
    at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind.

    Attributes:
        taken_at: when it last looked (UTC).
        oldest: of the events that it has not passed yet, when the oldest was recorded; None when it has passed all.
    """

    consumer: str
    taken_at: datetime
    oldest: datetime | None
