"""The manifest: filled in, strict about what it does not know, and never holding a secret."""

from pathlib import Path

import pytest
from google.cloud import run_v2

from infra import manifest
from infra.environment import Environment
from tests.infra.services import MANIFEST, declare, write

VERSIONS = {"orders-db-password": "3"}
WRONG = [
    (
        "${CPU}",
        "${CPUS}",
        "spec.template.spec.containers.0.resources.limits.cpu: there is no ${CPUS}",
    ),
    (
        "periodSeconds: 3",
        "periodSecond: 3",
        "startupProbe.periodSecond: there is no such field: did",
    ),
    ("kind: Service", "kind: Job", "kind: must be Service"),
    (
        "timeoutSeconds: ${TIMEOUT}",
        "timeoutSeconds: soon",
        "timeoutSeconds: must be a whole number",
    ),
    ("environment: gen2", "environment: gen3", "execution-environment: must be gen1 or gen2"),
    ("metadata:\n  name", "metadat:\n  name", "metadat: there is no such field: did you mean"),
    ('name: "${SERVICE}"', "name: other", "metadata.name: must be ${SERVICE}, which is orders"),
    ("spec:\n  template", "spec:\n  traffic: []\n  template", "traffic is moved by invoke deploy"),
]


def render(folder: Path, given: Environment, **more: bool) -> run_v2.Service:
    """The service of the manifest."""
    return manifest.render(folder, given, image="an-image@sha256:1", versions=VERSIONS, **more)


def test_the_template_is_filled_in(tmp_path: Path) -> None:
    given = declare(service={"name": "orders", "cpu": "2", "min_instances": 1})
    service = render(write(tmp_path), given)
    container = service.template.containers[0]
    assert container.image == "an-image@sha256:1"
    assert container.resources.limits["cpu"] == "2"
    assert container.resources.cpu_idle
    assert service.template.scaling.min_instance_count == 1
    assert service.template.volumes[0].cloud_sql_instance.instances == [
        "acme-stg:europe-west1:orders"
    ]
    assert dict(service.labels)["environment"] == "stg"


def test_a_zero_is_declared_and_not_left_out(tmp_path: Path) -> None:
    read = manifest.read(write(tmp_path), declare(), image="i", versions=VERSIONS)
    template = manifest.as_fields(read.fields["template"])
    assert template["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 10}


def test_secrets_are_references_to_a_numbered_version(tmp_path: Path) -> None:
    given = declare(secrets={"PAYMENT__KEY": "payment-key"}, config={"ENVIRONMENT": "other"})
    service = manifest.render(
        write(tmp_path), given, image="i", versions={**VERSIONS, "payment-key": "7"}
    )
    env = {each.name: each for each in service.template.containers[0].env}
    assert env["PAYMENT__KEY"].value_source.secret_key_ref.version == "7"
    assert env["DATABASE__PASSWORD"].value_source.secret_key_ref.version == "3"
    assert env["ENVIRONMENT"].value == "other"


def test_a_secret_without_a_value_is_named(tmp_path: Path) -> None:
    given = declare(secrets={"PAYMENT__KEY": "payment-key"})
    folder = write(tmp_path)
    with pytest.raises(manifest.ManifestError, match="invoke secret set payment-key --env stg"):
        render(folder, given)
    names = {each.name for each in render(folder, given, partial=True).template.containers[0].env}
    assert "PAYMENT__KEY" not in names


def test_the_job_reads_no_secret_but_the_password(tmp_path: Path) -> None:
    given = declare(secrets={"PAYMENT__KEY": "payment-key"}, config={"A": "1"})
    versions = {**VERSIONS, "payment-key": "7"}
    read = manifest.read(write(tmp_path), given, image="i", versions=versions)
    task = manifest.job(read, "i").template.template
    names = {each.name for each in task.containers[0].env}
    assert "PAYMENT__KEY" not in names
    assert {"A", "DATABASE__PASSWORD"} <= names
    assert task.service_account == "orders-migrate@acme-stg.iam.gserviceaccount.com"


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_what_it_does_not_know_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = MANIFEST.read_text("utf-8")
    assert old in text
    changed = text.replace(old, new)
    line = next(
        number
        for number, each in enumerate(changed.splitlines(), 1)
        if each not in text.splitlines()
    )
    with pytest.raises(manifest.ManifestError) as raised:
        render(write(tmp_path, changed), declare())
    assert f"ci/cloud-run.yaml:{line}: " in str(raised.value)
    assert said in str(raised.value)


def test_a_missing_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(manifest.ManifestError, match=r"ci/cloud-run\.yaml: there is no such file"):
        render(tmp_path, declare())
