"""What a service shows of itself, as PromQL: requests, errors, latency, its pool, its machines.

Only text: nothing is asked here. Cloud Run's and Cloud SQL's own metrics, and those that a service
sends (its `src/dependencies/metrics.py`), by the names that Cloud Monitoring gives them ("PromQL in
Cloud Monitoring", "Mapping Cloud Monitoring metric names"; "OTLP metric ingestion overview").
"""

from dataclasses import dataclass

from infra.names import Names

WINDOW = "5m"
FEWEST = 5
"""Requests that have to fail in the window: one of two at night wakes nobody."""


@dataclass(frozen=True)
class Signals:
    """The queries about one service."""

    names: Names

    def run(self, metric: str, *labels: str) -> str:
        """A metric of Cloud Run's about the service."""
        service = ('monitored_resource="cloud_run_revision"', f'service_name="{self.names.name}"')
        region = f'location="{self.names.region}"'
        return f"run_googleapis_com:{metric}{{{','.join((*service, region, *labels))}}}"

    def sql(self, metric: str) -> str:
        """A metric of Cloud SQL's about the instance."""
        instance = f"{self.names.project}:{self.names.environment.database.instance}"
        labels = f'monitored_resource="cloudsql_database",database_id="{instance}"'
        return f"cloudsql_googleapis_com:database_{metric}{{{labels}}}"

    def own(self, metric: str, *labels: str) -> str:
        """A metric that the service sends; a name with dots stands in braces, in quotes."""
        return f"{{{','.join((f'"{metric}"', f'job="{self.names.name}"', *labels))}}}"

    @property
    def requests(self) -> str:
        """Requests a second, by the class of their status."""
        return f"sum by (response_code_class) (rate({self.run('request_count')}[{WINDOW}]))"

    @property
    def error_ratio(self) -> str:
        """The part of the requests that failed, 0 to 1."""
        failed = self.run("request_count", 'response_code_class="5xx"')
        every = self.run("request_count")
        return f"sum(rate({failed}[{WINDOW}])) / sum(rate({every}[{WINDOW}]))"

    def latency(self, quantile: float) -> str:
        """Milliseconds in which that part of the requests was answered."""
        buckets = self.run("request_latencies_bucket")
        return f"histogram_quantile({quantile}, sum by (le) (rate({buckets}[{WINDOW}])))"

    def too_many_errors(self, ratio: float) -> str:
        """True while more than `ratio` of the requests fail, and more than a few."""
        failed = self.run("request_count", 'response_code_class="5xx"')
        enough = f"sum(increase({failed}[{WINDOW}])) >= {FEWEST}"
        return f"{self.error_ratio} > {ratio:g} and {enough}"

    def too_slow(self, milliseconds: int) -> str:
        """True while 1 of 100 requests takes longer."""
        return f"{self.latency(0.99)} > {milliseconds}"

    @property
    def requests_by_route(self) -> str:
        """Requests a second, by route."""
        count = self.own("http.server.request.duration_count")
        return f'sum by ("http.request.method", "http.route") (rate({count}[{WINDOW}]))'

    @property
    def errors_by_route(self) -> str:
        """Requests a second that failed, by route."""
        status = '"http.response.status_code"=~"5.."'
        count = self.own("http.server.request.duration_count", status)
        return f'sum by ("http.request.method", "http.route") (rate({count}[{WINDOW}]))'

    @property
    def latency_by_route(self) -> str:
        """Seconds in which 99 of 100 requests were answered, by route."""
        buckets = self.own("http.server.request.duration_bucket")
        by = '"http.request.method", "http.route", le'
        return f"histogram_quantile(0.99, sum by ({by}) (rate({buckets}[{WINDOW}])))"

    @property
    def pool(self) -> str:
        """Connections of the instances' pools, used and idle."""
        count = self.own("db.client.connection.count")
        return f'sum by ("db.client.connection.state") ({count})'

    @property
    def pool_limit(self) -> str:
        """Connections that the pools may have."""
        return f"sum({self.own('db.client.connection.max')})"

    @property
    def pool_waits(self) -> str:
        """Requests that wait for a connection."""
        return f"sum({self.own('db.client.connection.pending_requests')})"

    @property
    def loop_lag(self) -> str:
        """Seconds that the event loop of the worst instance was late."""
        return f"max({self.own('asyncio.event_loop.lag')})"

    @property
    def instances(self) -> str:
        """Instances, by whether they serve."""
        return f"sum by (state) ({self.run('container_instance_count')})"

    def used(self, what: str) -> str:
        """The part of its CPU or memory that the busiest instances use, 0 to 1."""
        buckets = self.run(f"container_{what}_utilizations_bucket")
        return f"histogram_quantile(0.99, sum by (le) (rate({buckets}[{WINDOW}])))"

    @property
    def sql_connections(self) -> str:
        """Connections to the instance, by database."""
        return f"sum by (database) ({self.sql('postgresql_num_backends')})"

    def sql_used(self, what: str) -> str:
        """The part of the instance's CPU, memory or disk that is used, 0 to 1."""
        return f"max({self.sql(f'{what}_utilization')})"
