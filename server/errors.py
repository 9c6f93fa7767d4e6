"""Errors the server can answer with, each knowing its HTTP status and a code that stays the same.

One shape for the whole API: ``{"error": {"code", "message", "field", "remedy", "detail"}}``. A route
raises; `app.py` turns it into that shape. A message says what was wrong and where; the remedy says what to do.
"""

from collections.abc import Mapping
from typing import ClassVar


class DoorlineError(Exception):
    """Base of every error a caller can be told about.

    Args:
        message: what was wrong and where.
        field: the input's field, when one is to blame.
        remedy: what the caller can do.
        detail: more for programs, such as the id of what is there already.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        detail: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        self.detail = detail


class InvalidInput(DoorlineError):
    """The request can't be understood or breaks a rule."""

    status = 422
    code = "invalid_input"


class NotSignedIn(DoorlineError):
    """No session or key, or one that has ended."""

    status = 401
    code = "not_signed_in"


class Forbidden(DoorlineError):
    """Signed in, but this is not theirs to see or do."""

    status = 403
    code = "forbidden"


class NotFound(DoorlineError):
    """Nothing by that name, or nothing this caller may know of."""

    status = 404
    code = "not_found"


class Conflict(DoorlineError):
    """It is there already, with other content."""

    status = 409
    code = "conflict"


class TooLarge(DoorlineError):
    """More than is taken in one go."""

    status = 413
    code = "too_large"


class TooManyRequests(DoorlineError):
    """Slow down; `retry_after` says for how many seconds."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class Unavailable(DoorlineError):
    """The database can't be reached now; try again in `retry_after` seconds."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message, remedy=f"try again in {retry_after} seconds")
        self.retry_after = retry_after
