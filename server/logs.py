"""How the server writes its log: a line an event, to stderr; JSON where no person is watching.

A traceback here never shows the values of variables. structlog's own console does, prettily, and a password or a phone
number is a variable like any other.

What libraries say through the standard library's logging comes out the same way, so that whoever reads the log by
machine meets one form: the connection pool's word that the database is away is the first line of many an incident.
"""

import logging
import sys

import structlog


def configure(*, json: bool | None = None, level: int = logging.INFO) -> None:
    """Set up logging for this process.

    Args:
        json: None means JSON unless stderr is a terminal.
        level: events below it are dropped.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # The stream is looked up at every line: a test or a supervisor may have put another one in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Whoever set logging up already, as a test's own catcher, keeps it.
    if not logging.root.handlers:
        logging.root.addHandler(_FromLibraries(logging.WARNING))


class _FromLibraries(logging.Handler):
    """Says what the standard library's logging was told as an event of our own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        try:
            structlog.get_logger().log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
            )
        except Exception:  # noqa: BLE001 - a line that can't be said must not end whoever said it
            self.handleError(record)
