"""docker-compose.yml: a database on this machine, and the image in front of it on request."""

from pathlib import Path

from tests.template.delivery import load

# The settings' default, which no file shows.
PASSWORD = "local-password"


def test_compose_offers_the_database_that_the_service_looks_for(folder: Path) -> None:
    services = load(folder / "docker-compose.yml")["services"]
    offered = services["database"]["environment"]
    sought = load(folder / "config.example.yaml")["database"]
    assert offered == {
        "POSTGRES_USER": f"${{DATABASE__USER:-{sought['user']}}}",
        "POSTGRES_PASSWORD": f"${{DATABASE__PASSWORD:-{PASSWORD}}}",
        "POSTGRES_DB": f"${{DATABASE__NAME:-{sought['name']}}}",
    }
    port = f"127.0.0.1:${{DATABASE__PORT:-{sought['port']}}}:5432"
    assert services["database"]["ports"] == [port]
    config = (folder / "src/dependencies/config.py").read_text(encoding="utf-8")
    assert f'LOCAL_PASSWORD = "{PASSWORD}"' in config
    for name in ("migrate", "app"):
        assert services[name]["environment"] == {
            "ENVIRONMENT": "local",
            "DATABASE__HOST": "database",
            "DATABASE__PORT": "5432",
            "DATABASE__NAME": offered["POSTGRES_DB"],
            "DATABASE__USER": offered["POSTGRES_USER"],
            "DATABASE__PASSWORD": offered["POSTGRES_PASSWORD"],
        }


def test_nothing_in_compose_listens_beyond_this_machine(folder: Path) -> None:
    services = load(folder / "docker-compose.yml")["services"]
    ports = [port for settings in services.values() for port in settings.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_starts_the_app_on_request_and_migrates_first(folder: Path) -> None:
    services = load(folder / "docker-compose.yml")["services"]
    assert "profiles" not in services["database"]
    assert services["app"]["profiles"] == services["migrate"]["profiles"] == ["app"]
    assert services["migrate"]["command"] == ["alembic", "-c", "db/alembic.ini", "upgrade", "head"]
    assert services["app"]["depends_on"]["migrate"] == {
        "condition": "service_completed_successfully"
    }
