"""The gate: places for bodies in all and by feed, and the memory that they hold together."""

from contextlib import ExitStack

import pytest

from dnsbl.http.gate import Gate
from dnsbl.http.problems import ProblemError


def test_places_are_bounded_in_all_and_by_feed_and_given_back():
    gate = Gate(bodies=3, per_feed=2)
    with ExitStack() as stack:
        stack.enter_context(gate.enter("a"))
        stack.enter_context(gate.enter("a"))
        with pytest.raises(ProblemError) as caught:
            stack.enter_context(gate.enter("a"))
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) > 0
        stack.enter_context(gate.enter("b"))
        with pytest.raises(ProblemError):
            stack.enter_context(gate.enter("c"))
    with ExitStack() as stack:
        for feed in ("a", "a", "b"):
            stack.enter_context(gate.enter(feed))


def test_memory_is_bounded_together_but_one_alone_may_go_on():
    gate = Gate(held=100)
    with gate.enter("a") as first:
        gate.hold(first, 1000)
        with gate.enter("b") as second, pytest.raises(ProblemError):
            gate.hold(second, 1)
        gate.hold(first, 2000)
