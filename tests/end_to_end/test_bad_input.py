"""What is wrong with a file is said before anything is touched, by every command that reads it."""

from pathlib import Path

import pytest

from tests.end_to_end.small import Small

COMMANDS = ["provision", "provision --check", "render"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_field_of_the_manifest_that_is_not_known(host: str, tmp_path: Path, command: str) -> None:
    service = Small.make(tmp_path, host, "wrong-manifest")
    manifest = tmp_path / "ci/cloud-run.yaml"
    text = manifest.read_text("utf-8").replace("timeoutSeconds: ${TIMEOUT}", "timeout: 5")
    manifest.write_text(text, "utf-8")
    line = 1 + next(at for at, each in enumerate(text.splitlines()) if "timeout: 5" in each)
    service.writes()
    done = service.run(*command.split())
    assert done.returncode == 2, done.stdout
    error = (
        f"error: ci/cloud-run.yaml:{line}: spec.template.spec.timeout: "
        "there is no such field: did you mean timeoutSeconds?"
    )
    assert done.stdout.splitlines()[-1] == error
    assert "Traceback" not in done.stdout
    assert service.writes() == []


@pytest.mark.parametrize("command", [*COMMANDS, "destroy --yes", "status", "secret list"])
def test_a_field_of_the_environment_that_is_not_known(
    host: str, tmp_path: Path, command: str
) -> None:
    service = Small.make(tmp_path, host, "wrong-environment", "databas:\n  tier: db-g1-small\n")
    service.writes()
    done = service.run(*command.split())
    error = (
        "error: environments/stg.yaml:5: databas: there is no such field: did you mean database?"
    )
    assert (done.returncode, done.stdout) == (2, f"{error}\n")
    assert service.writes() == []
