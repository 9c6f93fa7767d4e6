"""The one error of the embedded parts, apart so that launcher, place and process can all raise it."""

from server.errors import DoorlineError


class EmbeddedError(DoorlineError):
    """An embedded part (database or broker) can't run; the message says why and the remedy what to do."""

    code = "embedded"
