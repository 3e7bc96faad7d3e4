"""What a Cloud SQL instance is made of: what Google fills in, and what it refuses."""

import re

from google.cloud import sqladmin_v1beta4 as sa

from infra.emulator import errors, messages, pages, projects
from infra.emulator.sql import flags
from infra.emulator.world import Document, World

_TIER = re.compile(r"db-(f1-micro|g1-small|custom-\d+-\d+|n1-[a-z]+-\d+)")
_TIER_PLUS = re.compile(r"db-(perf-optimized-N-\d+|c4a-highmem-\d+)")
_POSTGRES = re.compile(r"POSTGRES_(\d+)(_\d+)?")
_FLAG = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
# Files, programs and addresses of a server: Cloud SQL lets nobody set these.
_OURS = re.compile(
    r".*_(command|file|directory|directories|library|libraries|library_path)|listen_addresses|port"
    r"|unix_socket_.*|ssl(_.*)?|log_(destination|filename|directory)|logging_collector|bonjour.*"
    r"|allow_alter_system|superuser_reserved_connections|password_encryption_.*"
)
_AGENT = "emulated@gcp-sa-cloud-sql.iam.gserviceaccount.com"
# What the caller does not decide.
FIXED = (
    "kind",
    "state",
    "etag",
    "ipAddresses",
    "project",
    "selfLink",
    "connectionName",
    "name",
    "region",
    "createTime",
    "databaseInstalledVersion",
    "serviceAccountEmailAddress",
    "backendType",
    "gceZone",
)


def new_instance(world: World, project: str, given: sa.DatabaseInstance) -> Document:
    """An instance with what Google fills in. Raises 400 for what it would refuse."""
    body = messages.dump(given)
    body.pop("rootPassword", None)
    version = _POSTGRES.fullmatch(body.get("databaseVersion", ""))
    if version is None:
        raise errors.unimplemented(
            f"Cloud SQL for {body.get('databaseVersion', 'anything but PostgreSQL')}"
        )
    region = body.setdefault("region", "us-central1")
    settings: Document = body.get("settings", {})
    # From version 16 on Enterprise Plus is the default.
    default = "ENTERPRISE_PLUS" if int(version[1]) >= 16 else "ENTERPRISE"
    settings.setdefault("edition", default)
    zone = f"{region}-a"
    _fill(
        settings,
        {
            "activationPolicy": "ALWAYS",
            "availabilityType": "ZONAL",
            "backupConfiguration": {
                "backupRetentionSettings": {"retainedBackups": 7, "retentionUnit": "COUNT"},
                "enabled": False,
                "kind": "sql#backupConfiguration",
                "startTime": "12:00",
                "transactionLogRetentionDays": 7,
                "transactionalLogStorageState": "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED",
            },
            "connectorEnforcement": "NOT_REQUIRED",
            "dataDiskSizeGb": "10",
            "dataDiskType": "PD_SSD",
            "deletionProtectionEnabled": False,
            "ipConfiguration": {
                "ipv4Enabled": True,
                "requireSsl": False,
                "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
            },
            "kind": "sql#settings",
            "locationPreference": {"kind": "sql#locationPreference", "zone": zone},
            "pricingPlan": "PER_USE",
            "replicationType": "SYNCHRONOUS",
            "storageAutoResize": True,
            "storageAutoResizeLimit": "0",
        },
    )
    settings["settingsVersion"] = "1"
    number = projects.find(world, project).number
    base = "https://sqladmin.googleapis.com/sql/v1beta4"
    body |= {
        "backendType": "SECOND_GEN",
        "connectionName": f"{project}:{region}:{given.name}",
        "createTime": world.timestamp(),
        "etag": pages.etag().strip('"'),
        "gceZone": settings["locationPreference"]["zone"],
        "instanceType": "CLOUD_SQL_INSTANCE",
        "ipAddresses": [{"ipAddress": "127.0.0.1", "type": "PRIMARY"}],
        "kind": "sql#instance",
        "project": project,
        "selfLink": f"{base}/projects/{project}/instances/{given.name}",
        "serviceAccountEmailAddress": f"p{number}-{_AGENT}",
        "settings": settings,
        "sqlNetworkArchitecture": "NEW_NETWORK_ARCHITECTURE",
        "state": "PENDING_CREATE",
    }
    check(body)
    return body


def check(body: Document) -> None:
    """Raises 400 for settings Google would refuse."""
    settings = body["settings"]
    tier, edition = settings.get("tier", ""), settings["edition"]
    if not tier:
        raise errors.invalid("Invalid request: Tier is required.")
    fits = _TIER_PLUS if edition == "ENTERPRISE_PLUS" else _TIER
    if not fits.fullmatch(tier):
        example = (
            "db-perf-optimized-N-*" if edition == "ENTERPRISE_PLUS" else "db-custom-CPU-MEMORY"
        )
        raise errors.invalid(
            f"Invalid request: Invalid Tier ({tier}) for ({edition}) Edition. Use a predefined "
            f"Tier like {example} instead."
        )
    for name in flags(body):
        if not _FLAG.fullmatch(name) or _OURS.fullmatch(name):
            raise errors.invalid(f"Invalid request: Invalid flag name ({name}).")
    if len(flags(body)) != len(settings.get("databaseFlags", ())):
        raise errors.invalid("Invalid request: a database flag is given twice.")


def _fill(target: Document, defaults: Document) -> None:
    for name, value in defaults.items():
        if isinstance(value, dict):
            _fill(target.setdefault(name, {}), value)
        else:
            target.setdefault(name, value)
