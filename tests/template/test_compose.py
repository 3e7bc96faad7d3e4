"""docker-compose.yml: a database on this machine, and the image in front of it on request."""

from pathlib import Path

from tests.template.delivery import load

# What the service's configuration uses where nothing else is said.
LOCAL_DATABASE = {
    "user": "postgres",
    "password": "local-password",
    "name": "orders",
    "port": "5432",
}


def test_compose_offers_the_database_that_the_service_looks_for(folder: Path) -> None:
    services = load(folder / "docker-compose.yml")["services"]
    offered = services["database"]["environment"]
    assert offered == {
        "POSTGRES_USER": LOCAL_DATABASE["user"],
        "POSTGRES_PASSWORD": LOCAL_DATABASE["password"],
        "POSTGRES_DB": LOCAL_DATABASE["name"],
    }
    assert services["database"]["ports"] == ["127.0.0.1:${DATABASE__PORT:-5432}:5432"]
    for name in ("migrate", "app"):
        assert services[name]["environment"] == {
            "ENVIRONMENT": "local",
            "DATABASE__HOST": "database",
            "DATABASE__PORT": LOCAL_DATABASE["port"],
            "DATABASE__NAME": LOCAL_DATABASE["name"],
            "DATABASE__USER": LOCAL_DATABASE["user"],
            "DATABASE__PASSWORD": LOCAL_DATABASE["password"],
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
