"""A pull request on the local cloud: its checks say what merging would change, and can change
nothing themselves."""

import sys
from pathlib import Path

from infra.cloud import Cloud
from infra.environment import load
from tests.emulator.repositories import Worked
from tests.end_to_end.small import Small

PROJECT = "pull-project"
TRIGGER = """
trigger:
  repository: acme/orders
  connection: github
  branch: ^main$
  checks: true
"""
CHECKS = f"""\
steps:
  - name: bash
    env: ["CHECKED=$_CHECKED"]
    script: exec {sys.executable} -m invoke COMMAND --env "$CHECKED"
options:
  logging: CLOUD_LOGGING_ONLY
"""
ASKED = ("emulator.push", "--branch", "next", "--into", "main")


def test_its_checks_may_look_and_nothing_else(host: str, tmp_path: Path) -> None:
    small = Small.make(tmp_path, host, PROJECT, TRIGGER)
    small.passes("provision")
    worked = Worked.begin(small.folder)
    worked.git("switch", "--quiet", "--create", "next")
    checks = small.folder / "ci/cloud-build-checks.yaml"
    checks.write_text(CHECKS.replace("COMMAND", "provision --check --diff"))
    environment = small.folder / "environments/stg.yaml"
    more = environment.read_text().replace("name: orders\n", "name: orders\n  max_instances: 7\n")
    environment.write_text(more)
    worked.commit("Let it grow")
    small.writes()

    printed = small.passes(*ASKED)
    assert "starts the trigger orders-checks" in printed
    assert "service.max_instances" in printed
    assert "failed=0" in printed

    # The code of a pull request may be anybody's.
    for command, missing in (
        ("provision", "storage.objects.create"),
        ("deploy --image x.dev/y@sha256:" + "0" * 64, "storage.objects.create"),
    ):
        checks.write_text(CHECKS.replace("COMMAND", command))
        worked.commit("Do more")
        denied = small.run(*ASKED)
        assert denied.returncode == 1, denied.stdout
        assert missing in denied.stdout
    there = Cloud(load(small.folder, "stg"), host)
    service = there.run_services.get_service(name=there.names.service)
    assert service.template.scaling.max_instance_count != 7
