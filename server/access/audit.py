"""The audit trail's one entry point, so that a line is written in the transaction of what it speaks of.

An audit written afterwards is missing exactly when something went wrong; a reveal that commits without its line must
be impossible. The commit links the line to all before it (`trail.py`), so a line can't be taken back: never put a
secret or a phone number into `detail`.
"""

from datetime import datetime

from server.access import audit_repository
from server.storage.pool import Connection


def record(
    conn: Connection,
    at: datetime,
    actor: str,
    action: str,
    *,
    subject: str = "",
    store_id: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Append one line.

    Args:
        conn: the transaction of the action itself.
        at: now (UTC).
        actor: who did it (`Scope.actor`).
        action: dotted verb, such as ``member.reveal_phone``.
        subject: what it was done to (an id).
    """
    audit_repository.insert(conn, at, actor, action, subject, store_id, detail or {})
