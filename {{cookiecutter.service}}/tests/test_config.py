"""Where a setting comes from, and what is said of a wrong one."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from src.dependencies.config import Settings, get_config, load_config
from src.dependencies.config_error import ConfigError

type Write = Callable[[Path, pytest.MonkeyPatch, str], None]


def write_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("DATABASE__HOST", host)


def write_dotenv(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (folder / ".env").write_text(f"DATABASE__HOST={host}\n")


def write_yaml(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (folder / "config.yaml").write_text(f"database:\n  host: {host}\n")


def write_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    content = json.dumps({"database": {"host": host}})
    (folder / "config.json").write_text(content)


def write_toml(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (folder / "config.toml").write_text(f'[database]\nhost = "{host}"\n')


def write_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The default is what is left."""


SOURCES: list[Write] = [
    write_environment,
    write_dotenv,
    write_yaml,
    write_json,
    write_toml,
    write_nothing,
]
PAIRS = [
    pytest.param(strong, weak, id=f"{strong.__name__}-over-{weak.__name__}")
    for place, strong in enumerate(SOURCES[:-1])
    for weak in SOURCES[place + 1 :]
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME"):
        monkeypatch.delenv(f"DATABASE__{name}", raising=False)
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    return tmp_path


@pytest.mark.parametrize(("strong", "weak"), PAIRS)
def test_the_stronger_source_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, strong: Write, weak: Write
) -> None:
    weak(folder, monkeypatch, "weak")
    strong(folder, monkeypatch, "strong")
    assert load_config().database.host == "strong"


@pytest.mark.parametrize(
    "file", [".env", "config.yaml", "config.json", "config.toml"]
)
def test_a_file_that_is_not_utf_8_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as error:
        load_config()
    assert str(error.value).startswith(f"config: {file} can't be read")


def test_sources_are_merged_name_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yaml(folder, monkeypatch, "from-yaml")
    monkeypatch.setenv("DATABASE__NAME", "from-environment")
    database = load_config().database
    assert (database.host, database.name, database.port) == (
        "from-yaml",
        "from-environment",
        5432,
    )


def test_found_from_the_folder_of_the_migrations(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yaml(folder, monkeypatch, "above")
    (folder / "db").mkdir()
    (folder / "db/alembic.ini").touch()
    monkeypatch.chdir(folder / "db")
    assert load_config().database.host == "above"


def test_port_is_understood(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert load_config().server.port == 9000
    monkeypatch.setenv("SERVER__PORT", "9001")
    assert load_config().server.port == 9001


@pytest.mark.usefixtures("folder")
def test_the_example_holds_the_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = load_config()
    example = Path(__file__).parent.parent / "config.example.yaml"
    (folder / "config.yaml").write_text(example.read_text("utf-8"), "utf-8")
    assert load_config() == defaults


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "ENVIRONMENT",
            "staging",
            "environment = 'staging' in the environment variable "
            "ENVIRONMENT: input should be 'local', 'dev', 'stg' or 'prd'",
        ),
        (
            "DATABASE__PORT",
            "many",
            "database.port = 'many' in the environment variable "
            "DATABASE__PORT: input should be a valid integer, unable to "
            "parse string as an integer",
        ),
        (
            "PORT",
            "0",
            "server.port = '0' in the environment variable PORT: "
            "input should be greater than or equal to 1",
        ),
        (
            "DATABASE__HOTS",
            "x",
            "database.hots = (hidden) in the environment variable "
            "DATABASE__HOTS: there is no such setting, did you mean "
            "database.host?",
        ),
    ],
)
def test_a_wrong_variable_is_named(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    line: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load_config()
    assert str(error.value) == f"config: {line}"


@pytest.mark.parametrize(
    ("file", "content", "parts"),
    [
        ("config.yaml", "logger: {level: LOUD}", ["logger.level = 'LOUD'"]),
        ("config.yaml", "- a list", ["config.yaml"]),
        ("config.yaml", "a: b: c", ["config.yaml", "line 1"]),
        ("config.json", '{"tracer": {"sample_ratio": 2}}', ["= 2 in"]),
        ("config.json", "{", ["config.json", "line 1"]),
        ("config.toml", "= 1", ["config.toml", "line 1"]),
        (".env", "DATABASE__PORT=0", ["database.port = '0' in .env"]),
        ("config.yaml", "databse: {}", ["did you mean database?"]),
        ("config.yaml", "database: {pool: {x: 1}}", ["database.pool ="]),
        ("config.yaml", "database: {host: {x: 1}}", ["database.host ="]),
    ],
)
def test_a_wrong_file_is_named(
    folder: Path, file: str, content: str, parts: list[str]
) -> None:
    (folder / file).write_text(content)
    with pytest.raises(ConfigError) as error:
        load_config()
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in [file, *parts] if part not in message] == []


@pytest.mark.usefixtures("folder")
def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", '{"password": {"hunter2": 1}}')
    with pytest.raises(ConfigError) as error:
        load_config()
    assert "hunter2" not in str(error.value)
    assert "database.password" in str(error.value)


@pytest.mark.usefixtures("folder")
def test_a_variable_that_is_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE", "{")
    with pytest.raises(ConfigError, match="database"):
        load_config()


@pytest.mark.usefixtures("folder")
def test_all_faults_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("ENVIRONMENT", "x")
    with pytest.raises(ConfigError) as error:
        load_config()
    assert len(error.value.problems) == 2


@pytest.mark.parametrize("environment", ["dev", "stg", "prd"])
@pytest.mark.usefixtures("folder")
def test_the_local_password_is_refused_elsewhere(
    monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    with pytest.raises(ConfigError, match="local's default, which is refused"):
        load_config()
    monkeypatch.setenv("DATABASE__PASSWORD", "")
    with pytest.raises(ConfigError, match=r"empty.*set DATABASE__PASSWORD"):
        load_config()
    monkeypatch.setenv("DATABASE__PASSWORD", "of-its-own")
    assert load_config().environment == environment


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"AUTH__ISSUER": "https://a.example"}, "auth.audience: it is needed"),
        ({"AUTH__AUDIENCE": "orders"}, "auth.issuer: it is needed"),
        ({"AUTH__ISSUER": "http://a.example"}, "must be an https URL"),
        ({"AUTH__KEYS_URL": "ftp://a.example"}, "must be an https URL"),
        (
            {"AUTH__ALGORITHMS": '["none"]'},
            "auth.algorithms = 'none' in the environment variable "
            "AUTH__ALGORITHMS: input should be 'RS256'",
        ),
        ({"AUTH__ALGORITHMS": '["HS256"]'}, "should be 'RS256'"),
        ({"CORS__ORIGINS": '["https://a.example/"]'}, "without a path"),
        (
            {"CORS__ORIGINS": '["*"]', "CORS__CREDENTIALS": "true"},
            "cors.origins: * is refused with cors.credentials",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_would_let_anybody_in_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], rule: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=re.escape(rule)) as error:
        load_config()
    assert len(error.value.problems) == 1


def test_read_once() -> None:
    assert get_config() is get_config()
    assert isinstance(get_config(), Settings)
