"""The settings: one typed table. ``environment`` reads it from ``AUDIT_*`` variables or from a Flask app's config."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.engine import URL, make_url

from audit_service.errors import SettingsError
from audit_service.settings import data_folder
from audit_service.values import limits
from audit_service.values.typed import description_of, title_of

EMBEDDED = "audit.db"  # the embedded database's file


def _number(low: int, high: int, meaning: str) -> Meta:
    return Meta(ge=low, le=high, title=f"a number from {low} to {high}", description=meaning)


def _choice(*values: str, meaning: str) -> Meta:
    *others, last = (f"`{value}`" for value in values)
    return Meta(title=f"{', '.join(others)} or {last}", description=meaning)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table. ``AUDIT_PORT`` in the environment or config is ``port`` here; a title is what a value is, in words."""

    database_url: Annotated[
        str,
        Meta(
            title="a postgresql:// or sqlite:/// URL",
            description="where the trail is kept, e.g. `postgresql://user@host/name`",
        ),
    ] = ""
    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            title="a folder",
            description="where the embedded database and the generated secret key are kept",
        ),
    ] = "./instance"
    secret_key: (
        Annotated[
            str,
            Meta(
                min_length=data_folder.MIN_KEY,
                title="a text of at least 16 characters",
                description="signs sessions and cursors; generated in the data folder for the embedded database, "
                "else required",
            ),
        ]
        | None
    ) = None
    login: Annotated[
        Literal["password", "passwordless"],
        _choice(
            "password",
            "passwordless",
            meaning="how users log in; `passwordless` lets any name in without a password: for demonstrations only",
        ),
    ] = "password"
    host: Annotated[
        str, Meta(min_length=1, title="an address or host name", description="the address to listen on")
    ] = "127.0.0.1"
    port: Annotated[int, _number(1, 65535, "the TCP port to listen on")] = 8000
    workers: Annotated[int, _number(1, 256, "worker processes")] = 2
    threads: Annotated[int, _number(1, 1024, "threads in each worker")] = 32
    app_name: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=limits.APP,
                title=f"a text of 1 to {limits.APP} characters",
                description="stored as `app` in events",
            ),
        ]
        | None
    ) = None
    write_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            title="seconds, from 0.1 to 60",
            description="the longest that storing an event may take: pool, connect, lock, statement and TCP together",
        ),
    ] = 2.0
    queue_limit: Annotated[
        int, _number(1, 100_000, "events that may wait in a process; further ones are refused at once")
    ] = 1000
    spool: Annotated[
        Literal["on", "off"],
        _choice(
            "on",
            "off",
            meaning="keep events in a file of the data folder while the database is away; `off`: no database, no login",
        ),
    ] = "on"

    unavailable: Annotated[
        Literal["refuse", "allow"],
        _choice(
            "refuse",
            "allow",
            meaning="what happens to a login whose event cannot be stored, not even in the spool; `allow`: it goes on, "
            "and the trail does not have it",
        ),
    ] = "refuse"

    login_log: (
        Annotated[
            str,
            Meta(
                min_length=1,
                title="a file",
                description="a text file that also gets a line for each login that succeeds: `name*time*address`",
            ),
        ]
        | None
    ) = None

    trace_signals: Annotated[
        Literal["on", "off"],
        _choice("on", "off", meaning="log each signal as it is sent, with its sender and the names of its arguments"),
    ] = "off"

    session_idle: Annotated[int, _number(60, 604_800, "seconds without a request after which a session ends")] = 1800
    session_lifetime: Annotated[int, _number(60, 2_592_000, "seconds after the login when a session ends anyway")] = (
        43_200
    )
    cookie_secure: Annotated[
        Literal["auto", "on"],
        _choice(
            "auto",
            "on",
            meaning="mark the session cookie `Secure` if the request came by https, or always; "
            "`on` where a proxy speaks https and this service does not know",
        ),
    ] = "auto"
    trusted_proxies: Annotated[
        int,
        _number(
            0,
            10,
            "proxies in front of the service, whose `X-Forwarded-For` and `-Proto` are believed; each must set both",
        ),
    ] = 0
    throttle: Annotated[
        Literal["on", "off"],
        _choice(
            "on",
            "off",
            meaning="slow down and then refuse logins after failures; `off`: passwords can be guessed at leisure",
        ),
    ] = "on"
    throttle_window: Annotated[int, _number(10, 86_400, "seconds that a failed login counts for")] = 900
    throttle_name_limit: Annotated[
        int,
        _number(1, 10_000, "failures of a name from one network (/24, of IPv6 /64) after which it is refused there"),
    ] = 10
    throttle_network_limit: Annotated[
        int, _number(1, 10_000, "failures from one network, whatever the names, after which it is refused")
    ] = 100
    unknown_usernames: Annotated[
        Literal["keep", "hash", "mask"],
        _choice(
            "keep",
            "hash",
            "mask",
            meaning="how names that match no account are stored; people type passwords into the wrong box",
        ),
    ] = "keep"

    signer: Annotated[
        Literal["on", "off"],
        _choice(
            "on",
            "off",
            meaning="let `serve` start the signer, by which a change of the history can be proven; `off`: nothing "
            "signs, unless `audit-service sign` runs elsewhere",
        ),
    ] = "on"
    sign_interval: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            title="seconds, from 0.1 to 3600",
            description="between two checkpoints of a trail that grows",
        ),
    ] = 5.0
    trail_origin: Annotated[
        str,
        Meta(
            pattern=r"^[^\s+/][^\s+]{0,199}$",
            title="a text of 1 to 200 characters without spaces and plus signs",
            description="how the name of the log begins, such as `audit.example.org`; an id follows",
        ),
    ] = "login-audit"
    signing_key_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                title="a file",
                description="the signer's secret key",
            ),
        ]
        | None
    ) = None
    checkpoint_hook: (
        Annotated[
            str,
            Meta(
                min_length=1,
                title="a command",
                description="gets the newest checkpoint on its standard input, to keep it outside this machine",
            ),
        ]
        | None
    ) = None
    checkpoint_hook_interval: Annotated[int, _number(0, 86_400, "seconds between two runs of the hook, at least")] = 600
    stamp_url: (
        Annotated[
            str,
            Meta(
                pattern=r"^https?://\S+$",
                title="an http:// or https:// URL",
                description="a time-stamping authority (RFC 3161) that stamps the checkpoints; "
                "it needs the extra `stamps`",
            ),
        ]
        | None
    ) = None
    stamp_interval: Annotated[int, _number(0, 86_400, "seconds between two time stamps, at least")] = 3600
    witnesses: (
        Annotated[
            str,
            Meta(
                min_length=1,
                title="a file",
                description="a policy (C2SP tlog-policy) with the witnesses that are asked to cosign the checkpoints",
            ),
        ]
        | None
    ) = None

    @property
    def signing_key_path(self) -> Path:
        """The file of the signer's secret key."""
        return Path(self.signing_key_file).absolute() if self.signing_key_file else self.data_path / "signing_key"

    @property
    def is_embedded(self) -> bool:
        """Tell whether the database is the embedded SQLite file in the data folder."""
        return not self.database_url

    @property
    def url(self) -> URL:
        """The database's URL with its driver named and, for SQLite, an absolute path."""
        url = make_url(self.database_url or f"sqlite:///{self.data_path / EMBEDDED}")
        if url.get_backend_name() in ("postgres", "postgresql"):
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            return url.set(database=str(Path(str(url.database)).absolute()))
        return url

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).absolute()

    @property
    def spool_path(self) -> Path | None:
        """The file of the spool, None if it is off."""
        return self.data_path / "spool.db" if self.spool == "on" else None

    def make_data_dir(self) -> Path:
        """Make the data folder, for its owner only, if it is missing. Raises ``SettingsError`` when it cannot."""
        data_folder.make_folder(self.data_path)
        return self.data_path

    def signing_key(self) -> str:
        """Return the secret key; for the embedded database make and keep one (mode 0600) if there is none.

        Raises ``SettingsError`` when a key is required and missing.
        """
        if self.secret_key:
            return self.secret_key
        if not self.is_embedded:
            raise SettingsError(
                "AUDIT_SECRET_KEY is required with AUDIT_DATABASE_URL: set it to a long random text, the same for "
                "every process (python3 -c 'import secrets; print(secrets.token_urlsafe(32))' prints one)"
            )
        return data_folder.read_key(self.make_data_dir())


def is_in_memory(url: URL) -> bool:
    """Tell whether *url* names an in-memory SQLite database, which ends with its connection."""
    return url.get_backend_name() == "sqlite" and (
        url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"
    )


def setting_type(field: str) -> str:
    """Return what the value of *field* is, in words."""
    return title_of(Settings.__annotations__[field])


def setting_help(field: str) -> str:
    """Return what *field* is for, in words."""
    return description_of(Settings.__annotations__[field])
