"""Cloud Monitoring's alert policies and notification channels, v3: checked and kept; none is told.

(Its client library is gRPC only.)
"""

import secrets

from google.cloud import monitoring_v3 as mv
from google.protobuf.message import Message  # type: ignore[import-untyped]

from infra.emulator import errors, messages, pages
from infra.emulator.api import Api, Call
from infra.emulator.world import Document, World

POLICIES = "alert_policies"
CHANNELS = "notification_channels"

_POLICY = "google.monitoring.v3.AlertPolicyService"
_CHANNEL = "google.monitoring.v3.NotificationChannelService"
_PARENT = "/v3/{name=projects/*}"
_FIXED = {"name", "creation_record", "mutation_record"}
_LEAST_SECONDS = 30
_KINDS = {"email": "email_address", "pubsub": "topic", "slack": "channel_name", "sms": "number"}
"""Kinds of channels, and the label that each has to have (`notificationChannelDescriptors`)."""

_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))

api = Api("monitoring", prefix="/monitoring")


@api.route(
    "POST",
    f"{_PARENT}/alertPolicies",
    name=f"{_POLICY}.CreateAlertPolicy",
    request=mv.CreateAlertPolicyRequest,
    body="alert_policy",
    permission="monitoring.alertPolicies.create",
)
def create_alert_policy(call: Call[mv.CreateAlertPolicyRequest]) -> mv.AlertPolicy:
    """A new policy, by a name of the emulator's."""
    policy = mv.AlertPolicy(messages.to_pb(call.request.alert_policy))
    _check(call.world, policy)
    policy.name = f"{call.request.name}/alertPolicies/{_number()}"
    messages.to_pb(policy).creation_record.CopyFrom(_record(call))
    if "enabled" not in policy:
        messages.to_pb(policy).enabled.value = True
    return _keep(call, policy)


@api.route(
    "GET",
    f"{_PARENT}/alertPolicies",
    name=f"{_POLICY}.ListAlertPolicies",
    request=mv.ListAlertPoliciesRequest,
    permission="monitoring.alertPolicies.list",
)
def list_alert_policies(call: Call[mv.ListAlertPoliciesRequest]) -> mv.ListAlertPoliciesResponse:
    """A project's policies."""
    if call.request.filter or call.request.order_by:
        raise errors.unimplemented("filters and orders of alert policies")
    prefix = f"{call.request.name}/alertPolicies/"
    found = [messages.from_json(mv.AlertPolicy, body) for body in call.world.list(POLICIES, prefix)]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return mv.ListAlertPoliciesResponse(
        alert_policies=some, next_page_token=token, total_size=len(found)
    )


@api.route(
    "GET",
    "/v3/{name=projects/*/alertPolicies/*}",
    name=f"{_POLICY}.GetAlertPolicy",
    request=mv.GetAlertPolicyRequest,
    permission="monitoring.alertPolicies.get",
)
def get_alert_policy(call: Call[mv.GetAlertPolicyRequest]) -> mv.AlertPolicy:
    """One policy."""
    return _policy(call.world, call.request.name)


@api.route(
    "PATCH",
    "/v3/{alert_policy.name=projects/*/alertPolicies/*}",
    name=f"{_POLICY}.UpdateAlertPolicy",
    request=mv.UpdateAlertPolicyRequest,
    body="alert_policy",
    permission="monitoring.alertPolicies.update",
)
def update_alert_policy(call: Call[mv.UpdateAlertPolicyRequest]) -> mv.AlertPolicy:
    """Changes what the mask names, or without one replaces it all."""
    given = call.request.alert_policy
    with call.world.transaction():
        policy = _policy(call.world, given.name)
        mask = messages.to_pb(call.request).update_mask
        if not mask.paths:
            mask.paths.append("*")
        pages.patch(messages.to_pb(policy), messages.to_pb(given), mask, _FIXED)
        _check(call.world, policy)
        return _keep(call, policy)


@api.route(
    "DELETE",
    "/v3/{name=projects/*/alertPolicies/*}",
    name=f"{_POLICY}.DeleteAlertPolicy",
    request=mv.DeleteAlertPolicyRequest,
    permission="monitoring.alertPolicies.delete",
)
def delete_alert_policy(call: Call[mv.DeleteAlertPolicyRequest]) -> None:
    """Deletes a policy."""
    if not call.world.delete(POLICIES, call.request.name):
        raise _missing()


@api.route(
    "POST",
    f"{_PARENT}/notificationChannels",
    name=f"{_CHANNEL}.CreateNotificationChannel",
    request=mv.CreateNotificationChannelRequest,
    body="notification_channel",
    permission="monitoring.notificationChannels.create",
)
def create_notification_channel(
    call: Call[mv.CreateNotificationChannelRequest],
) -> mv.NotificationChannel:
    """A new channel, by a name of the emulator's."""
    channel = mv.NotificationChannel(messages.to_pb(call.request.notification_channel))
    label = _KINDS.get(channel.type_)
    if label is None:
        raise errors.invalid(f"Unknown channel type '{channel.type_}'.", "type")
    if label not in channel.labels:
        raise errors.invalid(f"The label '{label}' is required.", "labels")
    channel.name = f"{call.request.name}/notificationChannels/{_number()}"
    messages.to_pb(channel).creation_record.CopyFrom(_record(call))
    call.world.put(CHANNELS, channel.name, messages.dump(channel))
    return channel


@api.route(
    "GET",
    f"{_PARENT}/notificationChannels",
    name=f"{_CHANNEL}.ListNotificationChannels",
    request=mv.ListNotificationChannelsRequest,
    permission="monitoring.notificationChannels.list",
)
def list_notification_channels(
    call: Call[mv.ListNotificationChannelsRequest],
) -> mv.ListNotificationChannelsResponse:
    """A project's channels."""
    if call.request.filter or call.request.order_by:
        raise errors.unimplemented("filters and orders of notification channels")
    prefix = f"{call.request.name}/notificationChannels/"
    found = [
        messages.from_json(mv.NotificationChannel, body)
        for body in call.world.list(CHANNELS, prefix)
    ]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return mv.ListNotificationChannelsResponse(notification_channels=some, next_page_token=token)


@api.route(
    "DELETE",
    "/v3/{name=projects/*/notificationChannels/*}",
    name=f"{_CHANNEL}.DeleteNotificationChannel",
    request=mv.DeleteNotificationChannelRequest,
    permission="monitoring.notificationChannels.delete",
)
def delete_notification_channel(call: Call[mv.DeleteNotificationChannelRequest]) -> None:
    """Deletes a channel; one that a policy tells only by force."""
    name = call.request.name
    with call.world.transaction():
        if call.world.get(CHANNELS, name) is None:
            raise _missing()
        for body in call.world.list(POLICIES):
            if name in body.get("notificationChannels", ()):
                if not call.request.force:
                    raise errors.precondition(f"{name} is used by {body['name']}.")
                body["notificationChannels"].remove(name)
                call.world.put(POLICIES, body["name"], body)
        call.world.delete(CHANNELS, name)


for _verb, _uri, _name in (
    ("GET", f"{_PARENT}/timeSeries", "MetricService.ListTimeSeries"),
    ("POST", f"{_PARENT}/timeSeries", "MetricService.CreateTimeSeries"),
    ("GET", f"{_PARENT}/metricDescriptors", "MetricService.ListMetricDescriptors"),
    ("GET", f"{_PARENT}/uptimeCheckConfigs", "UptimeCheckService.ListUptimeCheckConfigs"),
    ("POST", f"{_PARENT}/uptimeCheckConfigs", "UptimeCheckService.CreateUptimeCheckConfig"),
    ("GET", f"{_PARENT}/snoozes", "SnoozeService.ListSnoozes"),
    (
        "PATCH",
        "/v3/{notification_channel.name=projects/*/notificationChannels/*}",
        "NotificationChannelService.UpdateNotificationChannel",
    ),
    (
        "GET",
        "/v3/{name=projects/*/notificationChannels/*}",
        "NotificationChannelService.GetNotificationChannel",
    ),
):
    api.known(_verb, _uri, f"google.monitoring.v3.{_name}")


def _policy(world: World, name: str) -> mv.AlertPolicy:
    body: Document | None = world.get(POLICIES, name)
    if body is None:
        raise _missing()
    return messages.from_json(mv.AlertPolicy, body)


def _keep(call: Call[object], policy: mv.AlertPolicy) -> mv.AlertPolicy:
    """Keeps it, with a name for each condition."""
    for condition in policy.conditions:
        condition.name = condition.name or f"{policy.name}/conditions/{_number()}"
    messages.to_pb(policy).mutation_record.CopyFrom(_record(call))
    call.world.put(POLICIES, policy.name, messages.dump(policy))
    return policy


def _check(world: World, policy: mv.AlertPolicy) -> None:
    if not policy.display_name:
        raise errors.invalid("Field alert_policy.display_name is required.", "display_name")
    if not policy.combiner:
        raise errors.invalid("Field alert_policy.combiner is required.", "combiner")
    if not 1 <= len(policy.conditions) <= 6:
        raise errors.invalid("An alert policy needs 1 to 6 conditions.", "conditions")
    pages.check_labels(policy.user_labels.items(), "user_labels")
    for index, condition in enumerate(policy.conditions):
        field = f"alert_policy.conditions[{index}]"
        if messages.to_pb(condition).WhichOneof("condition") is None:
            raise errors.invalid("A condition is required.", field)
        asked = condition.condition_prometheus_query_language
        if "condition_prometheus_query_language" in condition:
            _check_query(asked, f"{field}.condition_prometheus_query_language")
    for name in policy.notification_channels:
        if world.get(CHANNELS, name) is None:
            raise errors.not_found(f"The notification channel {name} does not exist.")


def _check_query(
    asked: mv.AlertPolicy.Condition.PrometheusQueryLanguageCondition, field: str
) -> None:
    unpaired = any(asked.query.count(left) != asked.query.count(right) for left, right in _PAIRS)
    if not asked.query or unpaired:
        raise errors.invalid("The PromQL query cannot be parsed.", f"{field}.query")
    interval = asked.evaluation_interval.total_seconds() if asked.evaluation_interval else 30
    if interval < _LEAST_SECONDS or interval % _LEAST_SECONDS:
        raise errors.invalid(
            "The evaluation interval must be a multiple of 30 seconds.",
            f"{field}.evaluation_interval",
        )


def _record(call: Call[object]) -> Message:
    now = mv.MutationRecord(mutate_time=call.world.now(), mutated_by=call.caller.email)
    return messages.to_pb(now)


def _number() -> str:
    return str(secrets.randbelow(9 * 10**18) + 10**18)


def _missing() -> errors.GoogleError:
    return errors.not_found("Requested entity was not found.")
