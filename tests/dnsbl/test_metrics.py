import re

from profiler.observation import Event
from tests.dnsbl.test_service import BOT, misdeeds, post, service
from tests.profiler.rows import row

__all__ = ["service"]


def test_metrics_count_what_happened(service) -> None:
    post(service, misdeeds())
    service.query_counts = lambda: {("bl.vedette.test.", "NOERROR", "udp"): 7}
    service.dropped_queries = lambda: 3
    service.limited_queries = lambda: {"truncated": 5}
    lines = service.render_metrics().decode().splitlines()
    for expected in (
        'dnsbl_listings{layer="bot"} 1.0',
        "dnsbl_brake_held_listings 0.0",
        'dnsbl_queries_total{rcode="NOERROR",transport="udp",zone="bl.vedette.test."} 7.0',
        "dnsbl_queries_dropped_total 3.0",
        'dnsbl_queries_limited_total{action="truncated"} 5.0',
        'profiler_profiles{tier="own"} 1.0',
        'profiler_observations_folded_total{tier="own"} 10.0',
        'profiler_observations_ignored_total{reason="reserved",tier="own"} 0.0',
        'profiler_verdict_changes_total{now="bot",was="unknown"} 1.0',
        "profiler_journal_offset 1.0",
        'profiler_feed_records_total{feed="mx",result="batches"} 1.0',
    ):
        assert expected in lines
    assert any(line.startswith('profiler_feed_last_seen_timestamp_seconds{feed="mx"} 1') for line in lines)


def test_every_name_has_its_room_in_front_and_every_family_its_help(service) -> None:
    post(service, misdeeds())
    text = service.render_metrics().decode()
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert names
    assert all(name.startswith(("dnsbl_", "profiler_")) for name in names)
    assert re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE) == names


def test_what_no_profile_took_is_counted_by_why(service) -> None:
    post(service, row("10.1.2.3", Event.CONNECT))
    post(service, row("", Event.BOUNCE, queue=9))
    lines = service.render_metrics().decode().splitlines()
    assert 'profiler_observations_ignored_total{reason="reserved",tier="own"} 1.0' in lines
    assert 'profiler_observations_ignored_total{reason="unjoined",tier="own"} 1.0' in lines
    assert BOT not in "".join(lines), "no address is a label"
