"""What can be set on a box: one class a section of `edge.toml`, a description on each key.

The descriptions are the reference: the page of all settings is generated from these classes, so a key that is added
here is documented, and one that is not described here does not exist. Those of a camera are `edge.camerasettings`.
Reading and checking a file is `edge.config`.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from edge.camerasettings import CameraSettings as CameraSettings
from edge.camerasettings import CountingSettings as CountingSettings
from edge.camerasettings import LineSettings as LineSettings
from edge.camerasettings import SizeSettings as SizeSettings
from edge.camerasettings import TagSettings as TagSettings
from edge.camerasettings import ZoneSettings as ZoneSettings
from edge.sections import ConfigError as ConfigError
from edge.sections import Name as Name
from edge.sections import Point as Point
from edge.sections import Section
from wire import messages


class DeviceSettings(Section, frozen=True, kw_only=True):
    """`[device]`: who this box is."""

    name: Annotated[Name, Meta(description="The name the server gave this box; also its user name at the broker.")]
    clock_battery: Annotated[
        bool,
        Meta(
            description="Whether the box keeps its time while it is off. False (a Raspberry Pi without a clock "
            "module) holds records back until network time has set the clock."
        ),
    ] = True


class BrokerSettings(Section, frozen=True, kw_only=True):
    """`[broker]`: where counts are sent."""

    host: Annotated[str, Meta(min_length=1, description="Name or address of the MQTT broker.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port: usually 8883 with TLS, 1883 without.")] = 1883
    username: Annotated[str, Meta(description="User name at the broker; the device's name when left out.")] = ""
    password: Annotated[str, Meta(description="Password in plain text; `password_file` is better.")] = ""
    password_file: Annotated[
        str, Meta(description="A file that holds the password and nothing else, readable by the agent only.")
    ] = ""
    tls: Annotated[
        bool, Meta(description="Encrypt with the system's certificate authorities; implied by `ca_file`.")
    ] = False
    ca_file: Annotated[str, Meta(description="Certificate authority the broker is checked against (PEM).")] = ""
    cert_file: Annotated[str, Meta(description="This box's client certificate (PEM).")] = ""
    key_file: Annotated[str, Meta(description="The key of `cert_file` (PEM).")] = ""
    keepalive_s: Annotated[
        int, Meta(ge=5, le=3600, description="Seconds of silence after which the link is probed.")
    ] = 30

    def __repr__(self) -> str:
        """Without the password, so that no log line can carry it."""
        return f"BrokerSettings(host={self.host!r}, port={self.port}, username={self.username!r})"

    @property
    def encrypted(self) -> bool:
        """Whether the link uses TLS."""
        return self.tls or bool(self.ca_file)

    def secret(self) -> str:
        """The password, from wherever it is kept; empty when there is none.

        Raises:
            ConfigError: when `password_file` can't be read.
        """
        if not self.password_file:
            return self.password
        try:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                "broker.password_file",
                f"{self.password_file} can't be read ({error.strerror})",
                "Write the password there and let the agent's user read it",
            ) from error


class HttpsSettings(Section, frozen=True, kw_only=True):
    """`[https]`: the way to the server where a firewall lets no MQTT out; name and password are those of `[broker]`."""

    url: Annotated[
        str, Meta(description="The server's address, such as https://doorline.example.com; empty: MQTT only.")
    ] = ""
    use: Annotated[
        Literal["fallback", "always"],
        Meta(description="fallback takes it while MQTT is shut; always takes it alone."),
    ] = "fallback"
    after_s: Annotated[float, Meta(ge=0, le=86400, description="Seconds that MQTT is shut before HTTPS is taken.")] = (
        300.0
    )
    retry_mqtt_s: Annotated[
        float, Meta(ge=0.1, le=86400, description="Seconds between two looks whether MQTT is open again.")
    ] = 900.0
    proxy: Annotated[
        str,
        Meta(
            description="http://user:password@proxy:3128; the environment's (HTTPS_PROXY, NO_PROXY) when left out, "
            "`none` for none."
        ),
    ] = ""
    ca_file: Annotated[
        str, Meta(description="Certificate authority the server is checked against (PEM); the system's when left out.")
    ] = ""
    timeout_s: Annotated[
        float, Meta(ge=1, le=300, description="Seconds that the server may be silent in an exchange.")
    ] = 20.0

    def __repr__(self) -> str:
        """Without the proxy's password, so that no log line can carry it."""
        return f"HttpsSettings(url={self.url!r}, use={self.use!r})"


class OutboxSettings(Section, frozen=True, kw_only=True):
    """`[outbox]`: what is kept on disk until the server has it."""

    path: Annotated[str, Meta(min_length=1, description="The outbox's file, on a disk that survives a power cut.")]
    commit_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Crossings at risk in a power cut, in seconds: writes are gathered this long. 0 writes each "
            "at once.",
        ),
    ] = 1.0
    flush_after_s: Annotated[
        float, Meta(ge=0, le=3600, description="A batch is sent when its oldest record is this old.")
    ] = 5.0
    max_batch: Annotated[
        int, Meta(ge=1, le=messages.MAX_RECORDS, description="Or when it holds this many records.")
    ] = 2000
    resend_after_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="A batch the server doesn't answer is sent again after this long.")
    ] = 15.0
    keep_acked_days: Annotated[
        float,
        Meta(ge=0, le=365, description="Days that records are kept after the server has them, for its restores."),
    ] = 7.0
    quota_mb: Annotated[
        float,
        Meta(
            ge=1, le=100000, description="Disk the outbox may take; beyond it the oldest unsent records are summed up."
        ),
    ] = 256.0


class EdgeConfig(Section, frozen=True, kw_only=True):
    """The whole of `edge.toml`."""

    device: DeviceSettings
    broker: BrokerSettings
    https: HttpsSettings = HttpsSettings()
    outbox: OutboxSettings
    camera: tuple[CameraSettings, ...]
