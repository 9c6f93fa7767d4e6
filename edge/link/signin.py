"""What a box signs in with, tried before anyone leaves the shop, and without throwing off an agent that runs.

A broker may call every session of a box by the box's name, whatever id a client gives; then a second sign-in ends the
agent's own session. So while an agent holds the outbox, only the door is tried: TCP, TLS, and whether the broker keeps
the connection once it has looked at our certificate.
"""

import contextlib
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge import identity
from edge.findings import Finding
from edge.identity import IdentityError
from edge.outbox.store import CorruptStore, Store, StoreInUse
from edge.settings import BrokerSettings, EdgeConfig

#: A certificate that ends within this should be replaced (days).
SOON: Final = 60
_CONNECT_S: Final = 5.0
#: A broker that does not take a certificate hangs up at once; one that takes it waits for us to speak (seconds).
_SILENCE_S: Final = 1.5


def check_identity(config: EdgeConfig) -> Iterator[Finding]:
    """Whether the certificate is good, ours, and for how long; nothing where there is none."""
    broker = config.broker
    if not broker.cert_file or not broker.ca_file:
        return
    try:
        found = identity.inspect(Path(broker.cert_file), Path(broker.key_file), Path(broker.ca_file))
    except IdentityError as error:
        yield Finding("wrong", f"certificate: {error}", "Enrol the box anew: doorline edge enrol FILE --replace")
        return
    left = (found.not_after - datetime.now(UTC)).days
    if found.name != config.device.name:
        yield Finding(
            "wrong",
            f"certificate: it is {found.name}'s, and device.name is {config.device.name}; the broker goes by the first",
            f"Enrol the box as {config.device.name}, or set device.name",
        )
    elif left < SOON:
        yield Finding(
            "warning",
            f"certificate: it ends in {left} days, on {found.not_after:%Y-%m-%d}",
            f"On the server: doorline device rotate {found.name}; then enrol here with --replace",
        )
    else:
        yield Finding("ok", f"certificate: {found.name}, good until {found.not_after:%Y-%m-%d}")


def agent_runs(config: EdgeConfig) -> bool:
    """Whether an agent holds the outbox now."""
    path = Path(config.outbox.path)
    if not path.exists():
        return False
    try:
        with contextlib.closing(Store(path)):
            return False
    except StoreInUse:
        return True
    except (CorruptStore, sqlite3.Error, OSError):
        return False


def check_door(broker: BrokerSettings) -> Finding:
    """Whether the broker can be reached, is the one we trust, and keeps a connection that shows our certificate."""
    where = f"broker {broker.host}:{broker.port}"
    try:
        context, _ = identity.tls_context(broker)
        with (
            socket.create_connection((broker.host, broker.port), timeout=_CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            secured.settimeout(_SILENCE_S)
            if secured.recv(1) == b"":
                raise ConnectionResetError("it hung up")
    except TimeoutError:
        return Finding("ok", f"{where}: takes our certificate; the agent that runs was not disturbed by signing in")
    except OSError as error:
        return Finding("wrong", f"{where}: {error}", _door_remedy(error))
    return Finding("ok", f"{where}: answers us")


def _door_remedy(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Check that broker.host is the name in the broker's certificate; else enrol this box anew"
    if isinstance(error, ssl.SSLError | ConnectionResetError):
        # An alert in TLS 1.2; in 1.3 it hangs up once it has seen our certificate.
        return (
            "It does not take this box's certificate. On the server: doorline device list says why, and"
            " doorline device rotate gives the box a new one"
        )
    return "Check broker.host, broker.port and the network"
