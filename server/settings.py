"""Settings of the server, read from ``DOORLINE_*`` environment variables or a ``.env`` file.

An unknown name in the file is refused: a misspelt setting that is silently ignored is found out in production.
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

#: Roles of people; `server.access` rests on this file and not the other way.
_ROLES: Final = ("admin", "hq", "region", "manager", "desk")


def _words(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


class Settings(BaseSettings):
    """Everything a server process needs to know before it starts."""

    model_config = SettingsConfigDict(env_prefix="DOORLINE_", env_file=".env", extra="forbid")

    dsn: SecretStr = Field(
        default=SecretStr("postgresql://doorline@127.0.0.1:5432/doorline"),
        description="PostgreSQL connection string (plain PostgreSQL >= 15, or with TimescaleDB).",
    )
    read_dsn: SecretStr = Field(
        default=SecretStr(""),
        description="Connection string of a read replica that reports are read from; empty asks the database itself."
        " While the replica is away the database itself is asked.",
    )
    raw_days: int | None = Field(
        default=None,
        ge=14,
        description="For how many days raw crossings and minutes watched are kept; left out, for ever. Roll-ups, facts"
        " and receipts stay. Fourteen at the least: last week up to this minute is counted from raw rows.",
    )
    reporting_currency: str = Field(
        default="CNY", pattern="^[A-Z]{3}$", description="Currency in which sales of the whole chain are told."
    )
    webhook_networks: str = Field(
        default="",
        description="Private networks, by commas, that webhooks may be sent to all the same, such as 10.20.0.0/16; also"
        " without TLS. Everything else that is not of the open network is refused.",
    )
    event_days: int = Field(
        default=30,
        ge=1,
        description="For how many days events (a receipt recorded, a member enrolled) are kept at the least; then they"
        " go, once everything that acts on them has.",
    )
    pool_size: int = Field(default=8, ge=1, le=200, description="Most database connections of one process.")
    broker_host: str = Field(default="127.0.0.1", description="Address of the MQTT broker.")
    broker_port: int = Field(default=1883, ge=1, le=65535, description="Port of the MQTT broker.")
    broker_username: str = Field(default="doorline-server", description="The server's own broker user.")
    broker_password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    broker_protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="MQTT version; auto tries 5 first, which costs 3 s with a broker that lacks it."
    )
    broker_ca_file: Path | None = Field(default=None, description="CA certificate of the broker; set means TLS.")
    broker_cert_file: Path | None = Field(
        default=None, description="The server's own certificate, where the broker asks for one."
    )
    broker_key_file: Path | None = Field(default=None, description="Its private key.")
    broker_reload: str = Field(
        default="",
        description="Command that makes the broker read its certificates and its revocation list anew, such as"
        " `systemctl reload mosquitto`; where it is empty somebody has to do it by hand.",
    )
    pki_dir: Path = Field(
        default=Path("pki"), description="Folder of the certificate authority; only whoever issues certificates has it."
    )
    pki_passphrase_file: Path | None = Field(
        default=None, description="File with the passphrase of the authority's key; it is asked for when left out."
    )
    web_host: str = Field(default="127.0.0.1", description="Address the web server listens on.")
    web_port: int = Field(default=8080, ge=1, le=65535, description="Port the web server listens on.")
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks, by commas, of the proxies in front of us; only these may say in"
        " X-Forwarded-For who is asking. Everybody behind a proxy left out shares one address, and its lock-out.",
    )
    device_name_header: str = Field(
        default="",
        pattern="^[A-Za-z0-9-]*$",
        description="Header in which a trusted proxy passes on the common name of a box's client certificate, such as"
        " X-Client-CN; empty believes none. The proxy must check the certificate against the boxes' own authority and"
        " its revocation list, and replace the header on every request, empty where there is no certificate.",
    )
    device_certificate_header: str = Field(
        default="",
        pattern="^[A-Za-z0-9-]*$",
        description="Header in which that proxy passes on the certificate itself: its SHA-256 fingerprint in"
        " hexadecimal, or the certificate as URL-escaped PEM (nginx: $ssl_client_escaped_cert). With it only a"
        " certificate that stands on record for the box, and was not ended, is taken; recommended beside the name.",
    )
    cookie_secure: bool = Field(
        default=False,
        description="Send the session cookie over TLS only; set it wherever TLS ends in front of us.",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="At least 32 bytes in base64: master key for members' data and keyed hashes.",
    )
    old_secret_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Secret keys of before, by commas, under which members' data may still stand; after"
        " `doorline members rotate-keys` none does, and they can be left out.",
    )
    code_sender: str = Field(
        default="",
        description="What carries one-time codes to members' phones: `module:function`, called with these settings,"
        " which answers with an object that has `send(message)`. Empty writes each into a file of `messages_dir`.",
    )
    messages_dir: Path = Field(
        default=Path("messages"), description="Folder of the messages that no sender carries; its owner's only."
    )
    session_idle_minutes: int = Field(default=60, ge=1, description="A session unused for so long ends.")
    session_hours: int = Field(default=12, ge=1, description="A session ends after so long in any case.")
    audit_days: int | None = Field(
        default=None,
        ge=180,
        description="For how many days lines of the audit trail are kept; left out, for ever. Half a year at the least:"
        " so long a network's logs have to be kept in China.",
    )
    totp_roles: str = Field(
        default="",
        description="Roles, by commas, that must sign in with a one-time code as well, such as admin,hq; everybody else"
        " may.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^/?#\s]+)?/?$",
        description="Where people reach this server, such as https://doorline.example.com; the identity provider sends"
        " them back there.",
    )
    oidc_issuer: str = Field(
        default="", description="Issuer of the chain's OpenID Connect identity provider; empty: people sign in here."
    )
    oidc_client_id: str = Field(default="", description="What this server is called there.")
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="Its secret there; empty for a public client."
    )
    oidc_name: str = Field(
        default="SSO", max_length=40, description="What the identity provider is called on the sign-in page."
    )
    oidc_groups_claim: str = Field(default="groups", description="Claim that holds a person's groups.")
    oidc_roles: str = Field(
        default="",
        description="Which group has which role, by commas, the first that fits: admin=it,hq=head-office,manager=shops."
        " Who is in none may not sign in.",
    )
    oidc_stores_claim: str = Field(
        default="stores", description="Claim that holds the ids of the stores a region, manager or desk works for."
    )
    requests_per_minute: int = Field(
        default=3000,
        ge=0,
        description="Requests one address may make in a minute on average, a sixth of it at once; 0: as many as it"
        " likes. Everybody in a shop shares one address, and this machine itself is not counted.",
    )
    argon2_memory_kib: int = Field(
        default=65536, ge=8, description="Memory one password check takes (KiB); lower it in tests only."
    )
    argon2_time_cost: int = Field(default=3, ge=1, description="Passes of one password check; lower it in tests only.")
    default_country: str = Field(default="CN", pattern="^[A-Z]{2}$", description="Country of a new store.")
    recompute_seconds: float = Field(
        default=10, gt=0, description="How often the jobs process looks for hours whose facts changed."
    )

    @property
    def totp_required(self) -> frozenset[str]:
        """Roles that must sign in with a one-time code."""
        return frozenset(_words(self.totp_roles))

    @property
    def oidc_role_of(self) -> list[tuple[str, str]]:
        """Role and group, in the order in which they are looked for."""
        return [
            (role.strip(), group.strip())
            for role, _, group in (each.partition("=") for each in _words(self.oidc_roles))
        ]

    @field_validator("totp_roles")
    @classmethod
    def _check_totp_roles(cls, text: str) -> str:
        for role in _words(text):
            if role not in _ROLES:
                raise ValueError(f"{role!r} is no role of a person: use some of {', '.join(_ROLES)}")
        return text

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        if not self.oidc_issuer:
            return self
        parts = urlsplit(self.oidc_issuer)
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("oidc_issuer has to begin with https://, unless it runs on this machine")
        for name in ("oidc_client_id", "oidc_roles", "public_url"):
            if not getattr(self, name):
                raise ValueError(f"{name} is needed beside oidc_issuer")
        for role, group in self.oidc_role_of:
            if role not in _ROLES or not group:
                raise ValueError(f"oidc_roles: {role}={group} is not role=group with a role of {', '.join(_ROLES)}")
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, text: str) -> str:
        """Each an address or a network. All the world is refused: anybody could then name another's address."""
        proxies = [each.strip() for each in text.split(",") if each.strip()]
        for proxy in proxies:
            try:
                network = ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"{proxy!r} is no address or network, such as 172.30.0.1 or 10.1.0.0/24") from error
            if network.prefixlen == 0:
                raise ValueError(f"{proxy!r} trusts everybody; name the proxies' own addresses")
        return ",".join(proxies)
