"""Where the broker is, and how this server signs in to it: for whoever here has a connection of its own."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import paho.mqtt.client as mqtt

from server.settings import Settings


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is and who we are to it.

    Attributes:
        ca_file: set means TLS.
        cert_file, key_file: our own certificate, where the broker asks for one.
        protocol: MQTT version; `auto` tries 5 first, which a broker that knows only 3.1.1 may answer with silence.
    """

    host: str
    port: int
    username: str
    password: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The broker that the settings name."""
        return cls(
            host=settings.broker_host,
            port=settings.broker_port,
            username=settings.broker_username,
            password=settings.broker_password.get_secret_value(),
            ca_file=settings.broker_ca_file,
            cert_file=settings.broker_cert_file,
            key_file=settings.broker_key_file,
            protocol=settings.broker_protocol,
        )

    def sign_in(self, client: mqtt.Client) -> None:
        """Give a client that is not connected yet our name, our password and, over TLS, our certificate."""
        client.username_pw_set(self.username, self.password)
        if self.ca_file is None:
            return
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        client.tls_set_context(context)
