"""The configuration: read once, checked whole, then immutable.

Sources, the first that has a value wins: environment variables, `.env`,
`config.yaml`, `config.json`, `config.toml`, the defaults below. A nested name
is written with `__` in the environment: `DATABASE__HOST=localhost`.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, override

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from src.dependencies.config_error import ConfigError, explain, unreadable
from src.dependencies.setting_rules import (
    Algorithm,
    Origin,
    TrustedUrl,
    broken_rules,
)

LOCAL_PASSWORD = "local-password"

type Environment = Literal["local", "dev", "stg", "prd"]
type Port = Annotated[int, Field(ge=1, le=65535)]
type Seconds = Annotated[float, Field(gt=0)]
type Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the server listens, how many processes serve, and what each takes
    of its callers. Cloud Run's `PORT` is understood too."""

    host: str = "127.0.0.1"
    port: Port = 8000
    reload: bool = False
    workers: Count = 1
    shutdown_seconds: Annotated[int, Field(ge=1, le=10)] = 6
    keep_alive_seconds: Count = 75
    read_seconds: Seconds = 20
    max_concurrency: Count = 200
    max_url_bytes: Count = 8 * 1024
    max_head_bytes: Count = 32 * 1024
    max_body_bytes: Count = 1024 * 1024
    max_bodies_bytes: Count = 64 * 1024 * 1024
    forwarded_hops: Count = 1


class DatabaseSettings(Section):
    """PostgreSQL. A host that begins with `/` is a unix socket's folder."""

    host: str = "localhost"
    port: Port = 5432
    name: str = "{{ cookiecutter.__database }}"
    user: str = "postgres"
    password: SecretStr = SecretStr(LOCAL_PASSWORD)
    pool_size: Count = 20
    pool_overflow: Annotated[int, Field(ge=0)] = 0
    pool_wait_seconds: Seconds = 5
    pool_recycle_seconds: Count = 1800
    connect_seconds: Seconds = 5
    statement_seconds: Seconds = 30
    lock_seconds: Seconds = 5
    idle_in_transaction_seconds: Seconds = 60
    pooler: bool = False


class MigrationSettings(Section):
    """How long a migration waits for a lock, and how often it tries again
    with ever longer pauses; how long a statement of it may take."""

    lock_seconds: Seconds = 3
    attempts: Count = 6
    pause_seconds: Seconds = 1
    statement_seconds: Seconds = 1200


class HttpClientSettings(Section):
    """Outgoing HTTP. `total_seconds` is for all attempts together."""

    timeout_seconds: Seconds = 10
    connect_seconds: Seconds = 3
    total_seconds: Seconds = 30
    max_connections: Count = 100
    attempts: Count = 3
    backoff_seconds: Seconds = 0.2
    max_wait_seconds: Seconds = 5


class AuthSettings(Section):
    """Whose bearer tokens are taken (OpenID Connect); nobody's by default."""

    issuer: TrustedUrl | None = None
    audience: str | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30
    keys_url: TrustedUrl | None = None
    keys_age_seconds: Seconds = 300
    keys_pause_seconds: Seconds = 10


class CorsSettings(Section):
    """Which sites' scripts may call, from a browser; none by default."""

    origins: tuple[Origin, ...] = ()
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("Authorization", "Content-Type")
    credentials: bool = False
    max_age_seconds: Count = 600


class LoggerSettings(Section):
    """`auto` is text on a terminal and JSON anywhere else."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "json", "text"] = "auto"


class TracerSettings(Section):
    """How many requests are traced when the caller has not decided it."""

    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1


class Settings(BaseSettings):
    """All settings. See `config.example.yaml` for what each is for."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    environment: Environment = "local"
    google_cloud_project: str | None = None
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    migrations: MigrationSettings = MigrationSettings()
    http_client: HttpClientSettings = HttpClientSettings()
    auth: AuthSettings = AuthSettings()
    cors: CorsSettings = CorsSettings()
    logger: LoggerSettings = LoggerSettings()
    tracer: TracerSettings = TracerSettings()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources, the strongest first."""
        return (init_settings, *config_sources(settings_cls))


class CloudRunSource(PydanticBaseSettingsSource):
    """Cloud Run says where to listen by `PORT`, a name of its own."""

    @override
    def get_field_value(self, field: Any, field_name: str) -> Any:
        """Unused: the one value is nested, and `__call__` gives it."""
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        port = os.environ.get("PORT")
        return {"server": {"port": port}} if port else {}


def config_folder() -> Path:
    """The folder of the config files: ours, also when Alembic runs in `db/`."""
    here = Path.cwd()
    return here.parent if (here / "alembic.ini").exists() else here


def config_sources(
    settings: type[BaseSettings],
) -> tuple[PydanticBaseSettingsSource, ...]:
    """Where values come from, the strongest first."""
    return (
        EnvSettingsSource(settings),
        CloudRunSource(settings),
        config_file(dotenv, settings, ".env"),
        config_file(YamlConfigSettingsSource, settings, "config.yaml"),
        config_file(JsonConfigSettingsSource, settings, "config.json"),
        config_file(TomlConfigSettingsSource, settings, "config.toml"),
    )


def config_file(
    source: Callable[[type[BaseSettings], Path], PydanticBaseSettingsSource],
    settings: type[BaseSettings],
    name: str,
) -> PydanticBaseSettingsSource:
    """A file's values, none where there is no file. Raises ConfigError."""
    try:
        return source(settings, config_folder() / name)
    except (OSError, SettingsError, TypeError, ValueError, YAMLError) as error:
        raise ConfigError([unreadable(name, error)]) from None


def dotenv(
    settings: type[BaseSettings], path: Path
) -> PydanticBaseSettingsSource:
    """The source of variables in a file."""
    return DotEnvSettingsSource(settings, path, env_file_encoding="utf-8")


def load_config() -> Settings:
    """Reads all sources.

    Raises ConfigError, which says in a line each what is wrong and where it
    was written.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigError(
            explain(error, Settings, config_sources(Settings))
        ) from None
    except SettingsError as error:
        raise ConfigError([unreadable("the environment", error)]) from None
    password = settings.database.password.get_secret_value()
    if settings.environment != "local" and password in {"", LOCAL_PASSWORD}:
        kind = "local's default" if password else "empty"
        raise ConfigError(
            [
                f"database.password: it is {kind}, which is refused in "
                f"{settings.environment}: set DATABASE__PASSWORD"
            ]
        )
    if broken := broken_rules(settings):
        raise ConfigError(broken)
    return settings


@lru_cache
def get_config() -> Settings:
    """The process's configuration, read at the first call."""
    return load_config()


async def get_settings(request: Request) -> Settings:
    """The application's configuration."""
    settings: Settings = request.app.state.settings
    return settings


Config = Annotated[Settings, Depends(get_settings)]
