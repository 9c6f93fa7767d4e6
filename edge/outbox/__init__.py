"""What was counted, on disk until the server has it: the room, and what the rest of the box needs of it.

`Outbox` is the door. Behind it each file keeps one promise: numbers, lanes, the file's long life, room on the disk,
dates that come late, sums that stand for records. Whoever is not of this room takes what is named here.
"""

from edge.outbox.batch import Held
from edge.outbox.epochs import LANES, Lane
from edge.outbox.outbox import Outbox, OutboxError, Waiting

__all__ = ["LANES", "Held", "Lane", "Outbox", "OutboxError", "Waiting"]
