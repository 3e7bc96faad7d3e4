"""A Knative Service, as `gcloud run services replace` takes it, in the words of Cloud Run's v2 API.

What is declared stays visible: a zero or a `false` that was written is in the result, so that it
is compared and sent like any other value. A field we don't know is an error naming its path.
The mapping is Google's: https://cloud.google.com/run/docs/reference/yaml/v1
"""

import re

from infra.knative_container import container, volume
from infra.knative_reader import FieldError, Fields, Reader, given
from infra.yaml_file import Value

SQL_VOLUME = "cloudsql"
RUN = "run.googleapis.com/"
SCALE = "autoscaling.knative.dev/"


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
    own = [key for key in annotations.left if not re.match(r"[^/]*(knative\.dev|google)", key)]
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
