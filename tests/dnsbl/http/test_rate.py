"""Token buckets: a burst, then what flows back; bounded in number."""

import pytest

from dnsbl.http import rate
from dnsbl.http.rate import Rate, RateLimiter

THREE_A_MINUTE = Rate(3, 60.0)


def test_a_burst_then_a_wait_then_one_more():
    limiter = RateLimiter()
    assert [limiter.take("a", THREE_A_MINUTE, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.take("a", THREE_A_MINUTE, 0.0) == pytest.approx(20.0)
    assert limiter.take("a", THREE_A_MINUTE, 15.0) == pytest.approx(5.0)
    assert limiter.take("a", THREE_A_MINUTE, 20.5) == 0.0
    assert limiter.take("a", THREE_A_MINUTE, 20.5) > 0


def test_names_do_not_share_and_a_long_rest_gives_no_more_than_the_burst():
    limiter = RateLimiter()
    for _ in range(4):
        limiter.take("a", THREE_A_MINUTE, 0.0)
    assert limiter.take("b", THREE_A_MINUTE, 0.0) == 0.0
    assert [limiter.take("a", THREE_A_MINUTE, 1e6) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_the_number_of_buckets_is_bounded(monkeypatch):
    monkeypatch.setattr(rate, "REMEMBERED", 2)
    limiter = RateLimiter()
    for name in ("a", "b", "a", "c"):
        limiter.take(name, Rate(2, 60.0), 0.0)
    assert limiter.take("a", Rate(2, 60.0), 0.0) > 0
    assert limiter.take("b", Rate(2, 60.0), 0.0) == 0.0
