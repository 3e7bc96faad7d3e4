"""What the dear things of an environment cost in a month, from prices.yaml.

A note, not a bill: talks to nobody, and knows nothing of traffic, discounts or what is there.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from infra.environment import Database, Environment, Service
from infra.sql_tiers import SHARED, cpus, megabytes

PRICES = Path(__file__).with_name("prices.yaml")
SECONDS = 3600
REGIONAL = "REGIONAL"
WIDTH = 44


class Section(BaseModel):
    """A group of prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(Section):
    """An hour of a database's machine, by its parts."""

    vcpu_hour: float
    gigabyte_hour: float


class CloudSql(Section):
    """The database's prices."""

    source: str
    regions: list[str]
    shared_hour: dict[str, float]
    editions: dict[str, Machine]
    machines: list[str]
    storage_month: float
    storage_gigabytes: int
    regional_times: int


class Idle(Section):
    """A second of an instance that serves nobody, by its parts."""

    vcpu_second: float
    gibibyte_second: float


class CloudRun(Section):
    """The instances' prices."""

    source: str
    tier_1: Idle
    tier_2: Idle
    tier_1_regions: list[str]


class Prices(Section):
    """The table."""

    taken: str
    currency: str
    month_hours: int
    cloud_sql: CloudSql
    cloud_run: CloudRun


@dataclass(frozen=True)
class Item:
    """A thing and what it costs a month; None when the table does not say."""

    title: str
    month: float | None


@cache
def prices() -> Prices:
    """The table of this version."""
    return Prices.model_validate(yaml.safe_load(PRICES.read_text("utf-8")))


def note(environment: Environment) -> str:
    """The cost of a month in a few lines; "" for the local cloud, which costs nothing."""
    if environment.is_local:
        return ""
    table = prices()
    listed = items(environment, table)
    total = sum(item.month or 0 for item in listed)
    more = "more than" if any(item.month is None for item in listed) else "about"
    where = environment.region
    lines = [
        f"Costs {more} {total:.0f} {table.currency} a month, at list prices of {table.taken} "
        "(--no-cost leaves this out)"
    ]
    lines += [f"  {item.title:<{WIDTH}} {shown(item.month)}" for item in listed]
    if where not in table.cloud_sql.regions:
        lines.append(f"  The database is priced as in {table.cloud_sql.regions[0]}, not {where}.")
    return "\n".join(lines)


def shown(month: float | None) -> str:
    """A price, to the dollar."""
    return "not in the table" if month is None else f"{month:6.0f}"


def items(environment: Environment, table: Prices) -> list[Item]:
    """What is priced, the database first."""
    found = [*database(environment.database, table)]
    if environment.service.min_instances:
        found.append(instances(environment.service, environment.region, table))
    return found


def database(wanted: Database, table: Prices) -> list[Item]:
    """The instance's machine, or both of them, and the disk it has at least."""
    sql = table.cloud_sql
    times = sql.regional_times if wanted.availability == REGIONAL else 1
    hour = machine_hour(wanted, sql)
    month = None if hour is None else hour * table.month_hours * times
    standby = ", with its standby" if times > 1 else ""
    disk = sql.storage_gigabytes * sql.storage_month * times
    return [
        Item(f"database {wanted.tier}{standby}", month),
        Item(f"its disk, {sql.storage_gigabytes} GB at least", disk),
    ]


def machine_hour(wanted: Database, sql: CloudSql) -> float | None:
    """An hour of one machine; None when the table does not have it."""
    if wanted.tier in SHARED:
        return sql.shared_hour.get(wanted.tier)
    price, count, memory = sql.editions[wanted.edition], cpus(wanted.tier), megabytes(wanted.tier)
    is_listed = any(wanted.tier.startswith(f"{machine}-") for machine in sql.machines)
    if not is_listed or count is None or memory is None:
        return None
    return count * price.vcpu_hour + memory / 1024 * price.gigabyte_hour


def instances(wanted: Service, region: str, table: Prices) -> Item:
    """The instances that are kept warm, while they serve nobody."""
    run = table.cloud_run
    price = run.tier_1 if region in run.tier_1_regions else run.tier_2
    second = float(wanted.cpu) * price.vcpu_second + gibibytes(wanted) * price.gibibyte_second
    count = wanted.min_instances
    noun = "instance" if count == 1 else "instances"
    title = f"{count} idle {noun}, {wanted.cpu} vCPU, {wanted.memory}"
    return Item(title, second * SECONDS * table.month_hours * count)


def gibibytes(service: Service) -> float:
    """The memory of an instance."""
    amount, unit = float(service.memory[:-2]), service.memory[-2:]
    return amount if unit == "Gi" else amount / 1024
