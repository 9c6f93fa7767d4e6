"""What the commands of the centre share: settings that explain themselves, and services for as long as a command runs.

They run on the server itself, by whoever may read its settings; so they act as the system, and the audit trail names
the operating system's user.
"""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.main import fail

if TYPE_CHECKING:
    from server.access.models import Scope
    from server.services import Services
    from server.settings import Settings
    from server.storage.pool import Database


def settings() -> "Settings":
    """The settings; a wrong one ends the command with its name and the reason, and never with its value.

    Whoever needs them logs too: from here on as a server does, to stderr and without the values of variables.
    """
    from pydantic import ValidationError

    from server import logs
    from server.settings import Settings

    logs.configure()
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"DOORLINE_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        fail("these settings are wrong (environment or .env file):\n  " + "\n  ".join(lines))


@contextmanager
def database() -> Iterator["Database"]:
    """A small pool of connections to the database of the settings."""
    from server.storage.pool import Database

    with Database(settings().dsn.get_secret_value(), 2) as opened, _explained():
        yield opened


@contextmanager
def services() -> Iterator["Services"]:
    """All services; needs the secret key."""
    from server.services import make_services

    with make_services(settings()) as made, _explained():
        yield made


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong with the database itself, as one clear line and what to do."""
    from psycopg import errors

    from server.errors import Unavailable

    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName) as error:
        fail(f"the database is not of this version: {str(error).splitlines()[0]}\nrun: doorline db migrate")
    except Unavailable as error:
        fail(f"{error}\ncheck that the database runs, and that DOORLINE_DSN names it")


def operator() -> "Scope":
    """The scope of whoever runs the command."""
    from server.access.models import Scope

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Scope.system(f"cli:{name}")
