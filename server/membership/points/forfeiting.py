"""What becomes of points when their member is erased: they are given up, within the erasure.

The trap is to give them up later, when the event of the erasure is followed: by then the receipt that says what the
books said is signed, and no proof of it can ever hold again.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.membership.points import repository
from server.membership.points.bookings import Why
from server.storage.pool import Connection


def give_up(conn: Connection, members: Sequence[UUID], at: datetime, actor: str) -> None:
    """Empty the accounts of members who are no more; what is owed is let go as well.

    Nothing is settled before: a lot that expires today is given up like the others, so the ledger gets one entry a
    member and no more.
    """
    for member_id, purse in repository.hold(conn, members).items():
        repository.load_lots(conn, [purse])
        if purse.balance or purse.pending or purse.owed or purse.lots:
            purse.empty(Why("forfeit", f"erasure:{member_id}", at, actor))
            repository.write(conn, [purse])
