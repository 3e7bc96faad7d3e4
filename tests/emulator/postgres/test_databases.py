"""The databases of a server: any legal name, made once, dropped without a trace."""

import threading

import pytest

from infra.emulator.postgres import PostgresError, QueryError, Server


@pytest.mark.parametrize(
    "name",
    ["orders", "Orders-2", 'say "hi"', "it's", "a b\\c", ":x;--", "dbname=postgres", "é" * 31],
)
def test_databases_have_any_legal_name(server: Server, name: str) -> None:
    server.create_database(name)
    server.psql("CREATE TABLE kept ()", name)
    server.create_database(name)
    assert server.psql("SELECT current_database()", name) == name
    assert server.psql("SELECT count(*) FROM kept", name) == "0"
    server.drop_database(name)
    server.drop_database(name)
    with pytest.raises(QueryError, match="does not exist"):
        server.psql("SELECT 1", name)


@pytest.mark.parametrize("name", ["", "x" * 64, "nul\0"])
def test_databases_with_an_illegal_name_are_refused(server: Server, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 63 bytes"):
        server.create_database(name)


def test_a_database_made_by_several_at_once_is_made_once(server: Server) -> None:
    errors: list[BaseException] = []

    def create() -> None:
        try:
            server.create_database("both")
        except PostgresError as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    server.drop_database("both")
