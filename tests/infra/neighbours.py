"""What others have in the project: things beside ours, and roles on the project itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import requests

API = {"serviceIds": [f"{each}.googleapis.com" for each in ("secretmanager", "iam", "storage")]}
LABELS = {"team": "data"}
POLICY = {
    "bindings": [
        {"role": "roles/viewer", "members": ["user:ann@acme.com"]},
        {"role": "roles/cloudsql.client", "members": ["user:bob@acme.com"]},
    ]
}
READER = {"bindings": [{"role": "roles/secretmanager.viewer", "members": ["user:ann@acme.com"]}]}


@dataclass(frozen=True)
class Neighbours:
    """They, in a project of an emulator."""

    host: str
    project: str

    def move_in(self) -> None:
        """Makes their things."""
        project = f"projects/{self.project}"
        self.send(f"serviceusage/v1/{project}/services:batchEnable", API)
        secrets = f"secretmanager/v1/{project}/secrets"
        body = {"replication": {"automatic": {}}, "labels": LABELS}
        self.send(f"{secrets}?secretId=theirs", body)
        self.send(f"{secrets}/theirs:addVersion", {"payload": {"data": "dGhlaXJz"}})
        self.send(f"{secrets}/theirs:setIamPolicy", {"policy": READER})
        bucket = {"name": f"{self.project}-theirs", "labels": LABELS, "location": "EU"}
        self.send(f"storage/storage/v1/b?project={self.project}", bucket)
        account = {"accountId": "theirs", "serviceAccount": {"description": "Not ours."}}
        self.send(f"iam/v1/{project}/serviceAccounts", account)
        policy = f"cloudresourcemanager/v3/{project}:setIamPolicy"
        self.send(policy, {"policy": POLICY})

    def things(self) -> dict[str, object]:
        """What they have, as it is, with etags and times; the project's policy is everybody's."""
        project = f"projects/{self.project}"
        secret = f"secretmanager/v1/{project}/secrets/theirs"
        bucket = f"storage/storage/v1/b/{self.project}-theirs"
        account = f"theirs@{self.project}.iam.gserviceaccount.com"
        paths = [
            secret,
            f"{secret}/versions",
            f"{secret}:getIamPolicy",
            bucket,
            f"{bucket}/iam",
            f"iam/v1/{project}/serviceAccounts/{account}",
        ]
        return {path: self.read(path) for path in paths}

    def read(self, path: str) -> object:
        """One thing."""
        answer = requests.get(f"http://{self.host}/{path}", timeout=60)
        answer.raise_for_status()
        found: object = answer.json()
        return found

    def send(self, path: str, body: Mapping[str, object]) -> None:
        """A write of theirs."""
        answer = requests.post(f"http://{self.host}/{path}", json.dumps(body), timeout=60)
        answer.raise_for_status()
