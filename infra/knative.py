"""A Knative Service, as `gcloud run services replace` takes it, in the words of Cloud Run's v2 API.

What is declared stays visible: a zero or a `false` that was written is in the result, so that it
is compared and sent like any other value. A field we don't know is an error naming its path.
The mapping is Google's: https://cloud.google.com/run/docs/reference/yaml/v1
"""

import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from infra.yaml_file import Value, Where

type Fields = dict[str, Value]

SQL_VOLUME = "cloudsql"
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
RUN = "run.googleapis.com/"
SCALE = "autoscaling.knative.dev/"


class FieldError(Exception):
    """A field that is unknown, missing or wrong; `where` is its path."""

    def __init__(self, where: Where, message: str) -> None:
        super().__init__(message)
        self.where = where


class Reader:
    """A mapping whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, value: Value, where: Where = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(where, "must be a group of fields")
        self.where = where
        self._left = dict(value)
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str) -> Value:
        """The value of a key, None when there is none."""
        self._known.append(key)
        return self._left.pop(key, None)

    def at(self, key: str | int) -> Where:
        """The path of a key."""
        return (*self.where, key)

    def text(self, key: str) -> str | None:
        """Text, or a number or a truth value as text."""
        value = self.take(key)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return str(value)
        if value is not None and not isinstance(value, str):
            raise FieldError(self.at(key), "must be text")
        return value

    def number(self, key: str) -> int | None:
        """A whole number, also when it is written in quotes."""
        value = self.take(key)
        if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
            return int(value)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise FieldError(self.at(key), f"must be a whole number (got {value!r})")
        return value

    def flag(self, key: str) -> bool | None:
        """true or false, also when it is written in quotes."""
        text = self.text(key)
        if text is None:
            return None
        if text not in {"true", "false"}:
            raise FieldError(self.at(key), f"must be true or false (got {text!r})")
        return text == "true"

    def reader(self, key: str) -> "Reader":
        """A group of fields, an empty one when there is none."""
        value = self.take(key)
        return Reader({} if value is None else value, self.at(key))

    def each(self, key: str) -> list["Reader"]:
        """A list of groups of fields."""
        value = self.take(key) or []
        if not isinstance(value, list):
            raise FieldError(self.at(key), "must be a list")
        return [Reader(item, (*self.at(key), index)) for index, item in enumerate(value)]

    def texts(self, key: str) -> list[Value] | None:
        """A list of texts."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FieldError(self.at(key), "must be a list of texts")
        return value

    def mapping(self, key: str) -> Fields | None:
        """A mapping of texts."""
        value = self.take(key)
        if value is None:
            return None
        reader = Reader(value, self.at(key))
        return {name: reader.text(name) for name in dict(reader._left)}

    def json(self, key: str) -> Value:
        """A value that is written as JSON in a text."""
        text = self.text(key)
        try:
            value: Value = json.loads(text) if text is not None else None
        except ValueError:
            raise FieldError(self.at(key), "must be JSON") from None
        return value

    def done(self) -> None:
        """Raises FieldError when a key is left."""
        for key in self._left:
            near = get_close_matches(key, self._known, 1)
            known = ", ".join(sorted(self._known))
            hint = f"did you mean {near[0]}?" if near else f"there are {known}"
            raise FieldError(self.at(key), f"there is no such field: {hint}")


def service(knative: Value) -> Fields:
    """Cloud Run's Service, as JSON, of a Knative Service. Raises FieldError."""
    top = Reader(knative)
    for key, wanted in (("apiVersion", "serving.knative.dev/v1"), ("kind", "Service")):
        if top.text(key) != wanted:
            raise FieldError((key,), f"must be {wanted}")
    fields = service_metadata(top.reader("metadata"))
    spec = top.reader("spec")
    if "traffic" in spec:
        raise FieldError(spec.at("traffic"), "traffic is moved by invoke deploy: remove it")
    fields["template"] = template(spec.reader("template"))
    spec.done()
    top.done()
    return fields


def service_metadata(metadata: Reader) -> Fields:
    """What annotations and labels say about the service itself."""
    metadata.text("name")
    metadata.text("namespace")
    annotations = metadata.reader("annotations")
    ingress = annotations.text(f"{RUN}ingress")
    fields: Fields = {
        "labels": metadata.mapping("labels"),
        "description": annotations.text(f"{RUN}description"),
        "ingress": ingress and f"INGRESS_TRAFFIC_{INGRESS.get(ingress, ingress)}",
        "launchStage": annotations.text(f"{RUN}launch-stage"),
        "invokerIamDisabled": annotations.flag(f"{RUN}invoker-iam-disabled"),
        "defaultUriDisabled": annotations.flag(f"{RUN}default-url-disabled"),
        "customAudiences": annotations.json(f"{RUN}custom-audiences"),
        "scaling": given(
            minInstanceCount=annotations.number(f"{RUN}minScale"),
            maxInstanceCount=annotations.number(f"{RUN}maxScale"),
        ),
    }
    if ingress not in {None, *INGRESS}:
        raise FieldError(annotations.at(f"{RUN}ingress"), f"must be {' or '.join(INGRESS)}")
    fields["annotations"] = others(annotations)
    metadata.done()
    return given(**fields)


INGRESS = {
    "all": "ALL",
    "internal": "INTERNAL_ONLY",
    "internal-and-cloud-load-balancing": "INTERNAL_LOAD_BALANCER",
}


def others(annotations: Reader) -> Fields:
    """Annotations of the service's own, which Google keeps as they are."""
    own = [key for key in annotations._left if not re.match(r"[^/]*(knative\.dev|google)", key)]
    kept = {key: annotations.text(key) for key in own}
    annotations.done()
    return dict(kept)


def template(top: Reader) -> Fields:
    """A revision's template."""
    metadata = top.reader("metadata")
    if "name" in metadata:
        raise FieldError(metadata.at("name"), "revisions are named by invoke deploy: remove it")
    annotations = metadata.reader("annotations")
    spec = top.reader("spec")
    generation = annotations.text(f"{RUN}execution-environment")
    timeout = spec.number("timeoutSeconds")
    boost = annotations.flag(f"{RUN}startup-cpu-boost")
    throttling = annotations.flag(f"{RUN}cpu-throttling")
    sql = annotations.text(f"{RUN}cloudsql-instances")
    fields: Fields = {
        "labels": metadata.mapping("labels"),
        "scaling": given(
            minInstanceCount=annotations.number(f"{SCALE}minScale"),
            maxInstanceCount=annotations.number(f"{SCALE}maxScale"),
        ),
        "executionEnvironment": generation and f"EXECUTION_ENVIRONMENT_{generation.upper()}",
        "vpcAccess": vpc_access(annotations),
        "sessionAffinity": annotations.flag(f"{RUN}sessionAffinity"),
        "encryptionKey": annotations.text(f"{RUN}encryption-key"),
        "serviceAccount": spec.text("serviceAccountName"),
        "maxInstanceRequestConcurrency": spec.number("containerConcurrency"),
        "timeout": None if timeout is None else f"{timeout}s",
        "nodeSelector": node_selector(spec.reader("nodeSelector")),
        "volumes": [volume(each) for each in spec.each("volumes")],
    }
    depends = annotations.json(f"{RUN}container-dependencies")
    if generation not in {None, "gen1", "gen2"}:
        where = annotations.at(f"{RUN}execution-environment")
        raise FieldError(where, "must be gen1 or gen2")
    containers = [container(each) for each in spec.each("containers")]
    if not containers:
        raise FieldError(spec.at("containers"), "needs a container")
    serving = next((each for each in containers if "ports" in each), containers[0])
    for each in containers:
        add_resources(each, boost, throttling, is_serving=each is serving)
        if isinstance(depends, dict) and each.get("name") in depends:
            each["dependsOn"] = depends[str(each["name"])]
    if sql:
        add_sql(fields, serving, sql)
    fields["containers"] = list(containers)
    fields["annotations"] = others(annotations)
    metadata.done()
    spec.done()
    top.done()
    return given(**fields)


def add_resources(
    fields: Fields, boost: bool | None, throttling: bool | None, *, is_serving: bool
) -> None:
    """What annotations say about CPU. Unlike v1, v2 wants it said that an idle CPU is taken."""
    resources = fields.get("resources")
    resources = dict(resources) if isinstance(resources, dict) else {}
    resources["cpuIdle"] = throttling is not False
    if is_serving and boost is not None:
        resources["startupCpuBoost"] = boost
    fields["resources"] = resources


def add_sql(fields: Fields, serving: Fields, instances: str) -> None:
    """Cloud SQL's sockets under /cloudsql: an annotation in v1, a volume in v2."""
    names: list[Value] = [name.strip() for name in instances.split(",")]
    sockets: Fields = {"name": SQL_VOLUME, "cloudSqlInstance": {"instances": names}}
    mount: Fields = {"name": SQL_VOLUME, "mountPath": "/cloudsql"}
    volumes, mounts = fields.get("volumes"), serving.get("volumeMounts")
    fields["volumes"] = [*(volumes if isinstance(volumes, list) else []), sockets]
    serving["volumeMounts"] = [*(mounts if isinstance(mounts, list) else []), mount]


def vpc_access(annotations: Reader) -> Fields:
    """The way into a network."""
    interfaces = annotations.json(f"{RUN}network-interfaces")
    egress = annotations.text(f"{RUN}vpc-access-egress")
    return given(
        connector=annotations.text(f"{RUN}vpc-access-connector"),
        egress=egress and egress.upper().replace("-", "_"),
        networkInterfaces=interfaces,
    )


def node_selector(selector: Reader) -> Fields:
    """The accelerator."""
    fields = given(accelerator=selector.text(f"{RUN}accelerator"))
    selector.done()
    return fields


def container(top: Reader) -> Fields:
    """A container."""
    fields: Fields = {
        "name": top.text("name"),
        "image": top.text("image"),
        "command": top.texts("command"),
        "args": top.texts("args"),
        "workingDir": top.text("workingDir"),
        "env": [variable(each) for each in top.each("env")],
        "ports": [port(each) for each in top.each("ports")],
        "volumeMounts": [mount(each) for each in top.each("volumeMounts")],
    }
    resources = top.reader("resources")
    fields["resources"] = given(limits=resources.mapping("limits"))
    resources.done()
    for name in PROBES:
        if name in top:
            fields[name] = probe(top.reader(name))
    top.done()
    return given(**fields)


def variable(top: Reader) -> Fields:
    """An environment variable."""
    name = top.text("name")
    if not name:
        raise FieldError(top.at("name"), "is missing")
    if "valueFrom" not in top:
        value = top.text("value")
        top.done()
        return {"name": name, "value": value or ""}
    source = top.reader("valueFrom")
    reference = source.reader("secretKeyRef")
    secret, version = reference.text("name"), reference.text("key")
    if not secret or not version:
        raise FieldError(reference.where, "needs name (the secret) and key (its version)")
    for reader in (reference, source, top):
        reader.done()
    return {
        "name": name,
        "valueSource": {"secretKeyRef": {"secret": secret, "version": version}},
    }


def port(top: Reader) -> Fields:
    """The port that is served."""
    fields = given(name=top.text("name"), containerPort=top.number("containerPort"))
    top.done()
    return fields


def mount(top: Reader) -> Fields:
    """Where a volume is mounted."""
    fields = given(
        name=top.text("name"), mountPath=top.text("mountPath"), subPath=top.text("subPath")
    )
    top.done()
    return fields


def probe(top: Reader) -> Fields:
    """A probe."""
    fields = given(
        initialDelaySeconds=top.number("initialDelaySeconds"),
        timeoutSeconds=top.number("timeoutSeconds"),
        periodSeconds=top.number("periodSeconds"),
        failureThreshold=top.number("failureThreshold"),
    )
    kinds: dict[str, Callable[[Reader], Fields]] = {
        "httpGet": http_get,
        "tcpSocket": lambda reader: given(port=reader.number("port")),
        "grpc": lambda reader: given(port=reader.number("port"), service=reader.text("service")),
    }
    for name, read in kinds.items():
        if name in top:
            reader = top.reader(name)
            fields[name] = read(reader)
            reader.done()
    top.done()
    return fields


def http_get(top: Reader) -> Fields:
    """A probe's request."""
    headers = [
        given(name=each.text("name"), value=each.text("value")) for each in top.each("httpHeaders")
    ]
    return given(path=top.text("path"), port=top.number("port"), httpHeaders=list(headers))


def volume(top: Reader) -> Fields:
    """A volume."""
    fields: Fields = {"name": top.text("name")}
    kinds: Mapping[str, tuple[str, Callable[[Reader], Fields]]] = {
        "secret": ("secret", secret_volume),
        "emptyDir": ("emptyDir", empty_dir),
        "nfs": ("nfs", nfs),
        "csi": ("gcs", bucket_volume),
    }
    for name, (ours, read) in kinds.items():
        if name in top:
            reader = top.reader(name)
            fields[ours] = read(reader)
            reader.done()
    top.done()
    return fields


def secret_volume(top: Reader) -> Fields:
    """Files of a secret's versions."""
    items: list[Value] = []
    for each in top.each("items"):
        items.append(given(version=each.text("key"), path=each.text("path")))
        each.done()
    mode = top.number("defaultMode")
    return given(secret=top.text("secretName"), items=items, defaultMode=mode)


def empty_dir(top: Reader) -> Fields:
    """Files in memory."""
    medium = top.text("medium")
    return given(medium=medium and medium.upper(), sizeLimit=top.text("sizeLimit"))


def nfs(top: Reader) -> Fields:
    """Files of an NFS server."""
    read_only = top.flag("readOnly")
    return given(server=top.text("server"), path=top.text("path"), readOnly=read_only)


def bucket_volume(top: Reader) -> Fields:
    """A bucket's objects as files."""
    driver = top.text("driver")
    if driver != "gcsfuse.run.googleapis.com":
        raise FieldError(top.at("driver"), "must be gcsfuse.run.googleapis.com")
    attributes = top.reader("volumeAttributes")
    fields = given(bucket=attributes.text("bucketName"), readOnly=top.flag("readOnly"))
    attributes.done()
    return fields


def given(**fields: Value) -> Fields:
    """The fields that were written."""
    return {key: value for key, value in fields.items() if value not in (None, [], {})}
