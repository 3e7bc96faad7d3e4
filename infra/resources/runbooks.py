"""What an alert tells whoever it wakes at three in the morning: where to look, in which order.

Markdown, which Cloud Monitoring puts into the notification. Every command can be pasted.
"""

from infra.names import Names


def dashboard_link(names: Names) -> str:
    """The dashboard's page in the console."""
    page = "https://console.cloud.google.com/monitoring/dashboards/builder"
    return f"{page}/{names.dashboard.rpartition('/')[2]}?project={names.project}"


def logs(names: Names, what: str) -> str:
    """The command that shows log lines."""
    chosen = f'resource.type="cloud_run_revision" resource.labels.service_name="{names.name}"'
    return f"gcloud logging read '{chosen} {what}' --project={names.project} --limit=20"


def back(names: Names) -> str:
    """How the last release is taken back."""
    service = f"{names.name} --region={names.region} --project={names.project}"
    return f"""\
`invoke status --env {names.environment.name}` shows the revisions and their traffic. The one \
before gets it all with

       gcloud run services update-traffic {service} --to-revisions=REVISION=100

   Migrations stay: they have to fit both revisions anyway."""


def errors(names: Names) -> str:
    """What to do when requests fail."""
    return f"""\
Requests to **{names.name}** fail with 5xx. Callers see it now.

1. [The dashboard]({dashboard_link(names)}): which routes, since when, and is it all of them?
2. What the service says of itself, the newest first:

       {logs(names, "severity>=ERROR")}

   `stack_trace` has the cause of a 500. A 503 says that the database is away or the pool is spent.
3. Was something released in the last hour? {back(names)}
4. Database away: the charts of Cloud SQL, and

       gcloud sql operations list --instance={names.environment.database.instance} \
--project={names.project} --limit=5

   A failover or a maintenance ends by itself, and the service recovers by itself.
5. Pool spent (used = max, requests wait): a query has become slow, or there are more callers. See
   "p99 by route"; raise `service.max_instances` only as far as the database has connections.
"""


def slowness(names: Names) -> str:
    """What to do when answers take long."""
    return f"""\
One of a hundred requests to **{names.name}** takes longer than the limit.

1. [The dashboard]({dashboard_link(names)}): "p99 by route" tells whether one route is slow, or all.
2. One route: its query. Cloud SQL's Query Insights, and the traces of the slow requests:
   https://console.cloud.google.com/traces/list?project={names.project}
3. All routes, and requests wait for a connection: the database is the bottleneck. See "Cloud SQL
   CPU" and "Cloud SQL connections".
4. All routes, and the event loop is late: something blocks it (a computation, a call that is not
   awaited), or the instances have too little CPU. "CPU" near 1: raise `service.cpu`, or lower
   `service.concurrency`.
5. Only after a quiet time: instances that start. `service.min_instances: 1` keeps one warm.
6. Was something released in the last hour? {back(names)}
"""
