"""What was booked becomes rows: the one place that does it, for batches as they come and for dead letters tried again.

Rows, roll-ups and marks for days to compute anew belong together: whoever wrote two of the three would make a number
that no report shows, or one that no row explains. The order of locks is the transaction's: traffic, then coverage.
"""

from server.ingest import repository
from server.ingest.booking import Booking
from server.storage import dirty
from server.storage.pool import Connection


def write(connection: Connection, booking: Booking, reason: str, *, merge_tallies: bool = False) -> None:
    """Append the rows, add to the roll-ups and mark the hours, in the caller's transaction.

    Args:
        connection: the transaction.
        booking: what to write.
        reason: of the marks, such as ``ingest``.
        merge_tallies: whether part of a tally may have been booked before, so that the rest is added to its row.
    """
    append(connection, booking, merge_tallies=merge_tallies)
    add_up(connection, booking, reason)


def append(connection: Connection, booking: Booking, *, merge_tallies: bool = False) -> None:
    """The rows alone: the first half of `write`."""
    repository.copy_crossings(connection, booking.crossings)
    repository.copy_coverage(connection, booking.coverage)
    if merge_tallies:
        repository.merge_tallies(connection, booking.tallies)
    else:
        repository.insert_tallies(connection, booking.tallies)
    repository.insert_dead_letters(connection, booking.dead_letters)


def add_up(connection: Connection, booking: Booking, reason: str) -> None:
    """Roll-ups and marks alone: the second half of `write`. Nothing here waits for an answer, so it fits a pipeline."""
    repository.add_traffic(connection, booking.traffic)
    repository.add_coverage(connection, booking.watched)
    dirty.mark_all(connection, booking.touched(), reason)
