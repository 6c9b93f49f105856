"""Prometheus metrics, collected when asked from the counters that the rooms keep anyway."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dnsbl.listing.codes import LAYER_NAMES

if TYPE_CHECKING:
    from dnsbl.service import Service


class _ServiceCollector(Collector):
    def __init__(self, service: "Service") -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        yield from self._answers()
        yield from self._profiles()
        yield from self._feeds()

    def _answers(self) -> Iterator[Metric]:
        live = self._service.live
        yield GaugeMetricFamily("dnsbl_snapshot_serial", "Number of the published state", value=live.serial)
        listings = GaugeMetricFamily("dnsbl_listings", "What is published, by layer", labels=["layer"])
        for layer, count in live.count().items():
            listings.add_metric([LAYER_NAMES.get(layer, "excluded")], count)
        yield listings
        yield GaugeMetricFamily(
            "dnsbl_brake_held_listings", "Listings that the brake holds", value=self._service.publisher.held
        )
        queries = CounterMetricFamily(
            "dnsbl_queries", "DNS queries answered", labels=["zone", "rcode", "transport"]
        )
        for (zone, rcode, transport), count in self._service.query_counts().items():
            queries.add_metric([zone, rcode, transport], count)
        yield queries
        limited = CounterMetricFamily(
            "dnsbl_queries_limited", "Queries beyond their client's rate", labels=["action"]
        )
        for action, count in self._service.limited_queries().items():
            limited.add_metric([action], count)
        yield limited
        yield CounterMetricFamily(
            "dnsbl_queries_dropped", "Datagrams that deserve no answer", value=self._service.dropped_queries()
        )

    def _profiles(self) -> Iterator[Metric]:
        profiles = GaugeMetricFamily("profiler_profiles", "Addresses with a profile", labels=["tier"])
        folded = CounterMetricFamily("profiler_observations_folded", "Observations folded", labels=["tier"])
        ignored = CounterMetricFamily(
            "profiler_observations_ignored", "Observations that no profile took", labels=["tier", "reason"]
        )
        for tier, table in self._service.engine.profiles.tables.items():
            profiles.add_metric([tier], len(table))
            folded.add_metric([tier], table.folded)
            for reason in ("unjoined", "reserved", "overflowed"):
                ignored.add_metric([tier, reason], getattr(table, reason))
        yield from (profiles, folded, ignored)
        changes = CounterMetricFamily("profiler_verdict_changes", "Changes of verdict", labels=["was", "now"])
        for (was, now), count in self._service.publisher.changes.items():
            changes.add_metric([was, now], count)
        yield changes
        yield GaugeMetricFamily(
            "profiler_journal_offset", "Last journal entry that is folded", value=self._service.engine.offset
        )

    def _feeds(self) -> Iterator[Metric]:
        counted = CounterMetricFamily("profiler_feed_records", "What feeds delivered", labels=["feed", "result"])
        for (feed, result), count in self._service.feed_counters.items():
            counted.add_metric([feed, result], count)
        yield counted
        seen = GaugeMetricFamily(
            "profiler_feed_last_seen_timestamp_seconds", "When a feed last delivered", labels=["feed"]
        )
        for feed, moment in self._service.feed_seen.items():
            seen.add_metric([feed], moment)
        yield seen


def render(service: "Service") -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ServiceCollector(service))
    return generate_latest(registry)
