"""A container of a Knative Service and its volumes, in the words of Cloud Run's v2 API."""

from collections.abc import Callable, Mapping

from infra.knative_reader import FieldError, Fields, Reader, given
from infra.yaml_file import Value

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


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
