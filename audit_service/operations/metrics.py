"""What ``GET /metrics`` tells, for Prometheus: the trail and its log as the database has them, and the machine's spool.

All of it is read when it is asked for, so that each process gives the same answer.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_service.context import read_session
from audit_service.history.query import trail_size
from audit_service.operations.log_state import age
from audit_service.operations.readiness import readiness
from audit_service.proving.status import LogStatus, read_status


def metrics_text() -> bytes:
    """Return the metrics of the current app in Prometheus' text format. Raises what SQLAlchemy raises."""
    registry = CollectorRegistry()
    registry.register(_Trail())
    return generate_latest(registry)


class _Trail(Collector):
    def collect(self) -> Iterator[Metric]:
        status = read_status(read_session().connection())
        events = status.events if status else trail_size(read_session())
        yield GaugeMetricFamily("audit_trail_events", "Events that the trail has had so far.", events)
        if status:
            yield from _log_metrics(status, datetime.now(UTC))
        _, state = readiness()
        if isinstance(state["spool"], dict):
            yield GaugeMetricFamily(
                "audit_spool_events", "Events in the spool that wait for the database.", state["spool"]["length"]
            )


def _log_metrics(status: LogStatus, now: datetime) -> Iterator[Metric]:
    """Yield the state of the log; an age that there is none of is left out."""
    yield GaugeMetricFamily("audit_log_signed_events", "Events that the newest checkpoint covers.", status.signed)
    for name, since, what in (
        ("checkpoint", status.signed_at, "the newest checkpoint"),
        ("oldest_unsigned", status.waiting_since, "the oldest event that no checkpoint covers"),
    ):
        if (seconds := age(since, now)) is not None:
            yield GaugeMetricFamily(f"audit_log_{name}_age_seconds", f"Age of {what}.", seconds)
    stopped = int(status.problem is not None)
    yield GaugeMetricFamily(
        "audit_log_signer_stopped", "Whether the signer has stopped until somebody decides.", stopped
    )
    ages = GaugeMetricFamily(
        "audit_log_confirmation_age_seconds",
        "Age of the last confirmation of a checkpoint from outside, by who confirmed it.",
        labels=["name"],
    )
    sizes = GaugeMetricFamily(
        "audit_log_confirmed_events",
        "Events that the last checkpoint confirmed from outside covers, by who confirmed it.",
        labels=["name"],
    )
    for each in status.confirmations:
        ages.add_metric([each.name], age(each.confirmed_at, now) or 0.0)
        sizes.add_metric([each.name], each.size)
    yield from (ages, sizes)
