"""What services share stays while one of them uses it, and what is deleted goes in an order."""

from google.cloud import sqladmin_v1beta4

from infra.emulator.world import Document
from infra.events import Finished, Status
from tests.infra.ours import Journal, Make, Ours, is_well

UNPROTECTED = {"deletion_protection": False}
INSTANCE = "sql instance main"


def two(make: Make, project: str) -> tuple[Ours, Ours]:
    """Two services on one instance: the first's, and one that only uses it."""
    database = {"instance": "main", **UNPROTECTED}
    first = make(project, service={"name": "orders"}, database=database)
    second = make(project, service={"name": "stock"}, database={**database, "tier": "db-f1-micro"})
    assert is_well(first.provision()), first.told()
    assert is_well(second.provision()), second.told()
    return first, second


def instance(ours: Ours) -> sqladmin_v1beta4.DatabaseInstance:
    """The instance as it is."""
    return ours.cloud.sql_instances.get(
        sqladmin_v1beta4.SqlInstancesGetRequest(
            project=ours.cloud.names.project, instance=ours.cloud.environment.database.instance
        )
    )


def databases(ours: Ours) -> set[str]:
    """The databases of the instance."""
    request = sqladmin_v1beta4.SqlDatabasesListRequest(
        project=ours.cloud.names.project, instance=ours.cloud.environment.database.instance
    )
    return {each.name for each in ours.cloud.sql_databases.list(request).items} - {"postgres"}


def users(ours: Ours) -> set[str]:
    """The users of the instance."""
    request = sqladmin_v1beta4.SqlUsersListRequest(
        project=ours.cloud.names.project, instance=ours.cloud.environment.database.instance
    )
    return {each.name for each in ours.cloud.sql_users.list(request).items} - {"postgres"}


def texts(ours: Ours, key: str) -> list[str]:
    """What was said about a resource."""
    finished = [each for each in ours.events if isinstance(each, Finished)]
    return [each.text for each in finished if f"{each.kind} {each.name}" == key]


def test_a_service_joins_the_instance_of_another_and_changes_nothing_of_it(make: Make) -> None:
    first, second = two(make, "joined-instance")
    shared = instance(first)
    assert shared.settings.tier == "db-g1-small"
    assert shared.settings.user_labels["service"] == "orders"
    assert shared.settings.user_labels["shared-with-stock"] == "true"
    assert databases(first) == users(first) == {"orders", "stock"}
    assert not first.provision().count(Status.CHANGED), first.told()
    assert not second.provision().count(Status.CHANGED), second.told()


def test_who_leaves_takes_its_own_and_the_owners_stays(make: Make, journal: Journal) -> None:
    first, second = two(make, "left-instance")
    assert is_well(second.destroy()), second.told()
    assert "kept: it belongs to orders in stg" in texts(second, INSTANCE)[-1]
    assert databases(first) == users(first) == {"orders"}
    assert "shared-with-stock" not in instance(first).settings.user_labels
    assert instance(first).settings.backup_configuration.enabled
    journal.clear()
    assert not second.destroy().count(Status.CHANGED), second.told()
    assert journal.writes == []
    assert not first.provision().count(Status.CHANGED), first.told()


def test_an_owner_who_goes_leaves_the_instance_to_who_uses_it(make: Make, journal: Journal) -> None:
    first, second = two(make, "owner-goes")
    assert is_well(first.destroy()), first.told()
    assert texts(first, INSTANCE)[-1] == "kept: stock uses it too"
    assert databases(second) == users(second) == {"stock"}
    journal.clear()
    assert not first.destroy().count(Status.CHANGED), first.told()
    assert journal.writes == []
    assert not second.provision().count(Status.CHANGED), second.told()
    assert is_well(second.destroy()), second.told()
    assert databases(second) == users(second) == set()
    assert is_well(first.destroy()), first.told()
    assert "main" not in str(first.cloud.sql_instances.list(listing(first)))


def listing(ours: Ours) -> sqladmin_v1beta4.SqlInstancesListRequest:
    """Asks for the project's instances."""
    return sqladmin_v1beta4.SqlInstancesListRequest(project=ours.cloud.names.project)


def test_data_that_is_kept_serves_the_next_provision(make: Make, journal: Journal) -> None:
    ours = make("keeps-data")
    assert is_well(ours.provision())
    secret = ours.cloud.names.secret(ours.cloud.names.password_secret)
    value = ours.cloud.secrets.access_secret_version(name=f"{secret}/versions/1").payload.data
    assert is_well(ours.destroy(keep_data=True)), ours.told()
    kept = {"sql instance orders", "database orders", "database user orders"}
    kept |= {"secret orders-db-password", "password orders-db-password"}
    assert all(texts(ours, key)[-1] == "kept: it is data (--keep-data)" for key in kept)
    assert not members(ours, secret), "the secret stays, and nobody may read it"
    journal.clear()
    assert not ours.destroy(keep_data=True).count(Status.CHANGED), ours.told()
    assert journal.writes == []
    assert is_well(ours.provision()), ours.told()
    assert databases(ours) == {"orders"}
    again = ours.cloud.secrets.access_secret_version(name=f"{secret}/versions/1").payload.data
    assert again == value
    assert not ours.provision().count(Status.CHANGED), ours.told()


def members(ours: Ours, secret: str) -> list[str]:
    """Who may do what with a secret."""
    policy = ours.cloud.secrets.get_iam_policy({"resource": secret})
    return [member for binding in policy.bindings for member in binding.members]


def test_the_source_bucket_goes_last_and_the_database_before_its_user(
    make: Make, journal: Journal
) -> None:
    first, second = two(make, "ordered")
    journal.clear()
    assert is_well(second.destroy()), second.told()
    last = journal.writes[-1]
    assert last == f"DELETE /storage/storage/v1/b/{second.cloud.names.bucket}"
    gone = [place(each) for each in journal.calls if each["http"] == "DELETE"]
    assert gone.index("services/stock") < gone.index("databases/stock") < gone.index("users")
    journal.clear()
    assert is_well(first.destroy()), first.told()
    last = journal.writes[-1]
    assert last == f"DELETE /storage/storage/v1/b/{first.cloud.names.bucket}"


def place(call: Document) -> str:
    """The end of a call's path: a collection and a name, or a collection alone."""
    path = str(call["path"])
    return "users" if path.endswith("/users") else "/".join(path.split("/")[-2:])


def test_a_database_of_a_service_we_never_shared_with_is_refused(
    make: Make, journal: Journal
) -> None:
    theirs = make("clashing", database={"instance": "main", **UNPROTECTED, "name": "app"})
    assert is_well(theirs.provision()), theirs.told()
    ours = make("clashing", service={"name": "stock"}, database={"instance": "main", "name": "app"})
    journal.clear()
    assert ours.provision().count(Status.FAILED) == 2, ours.told()
    assert "it belongs to orders in stg" in texts(ours, "database app")[-1]
    assert journal.writes == []
    assert not ours.destroy().count(Status.CHANGED), ours.told()
    assert databases(theirs) == {"app"}
