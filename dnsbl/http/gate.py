"""How many batches are taken in at once and how much memory they hold together. Lives on the event loop."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dnsbl.http.problems import busy

BODIES_AT_ONCE = 32
BODIES_PER_FEED = 8
#: Parsed rows of all bodies in work together; a body alone may hold more, as its own bound is configured.
HELD_BYTES = 1 << 30
RETRY_SECONDS = 2


class Ticket:
    """A body's place; ``held_bytes`` is what it holds in memory now."""

    def __init__(self) -> None:
        self.held_bytes = 0


class Gate:
    """Counts the bodies in work."""

    def __init__(
        self, bodies: int = BODIES_AT_ONCE, per_feed: int = BODIES_PER_FEED, held: int = HELD_BYTES
    ) -> None:
        self._bodies = bodies
        self._per_feed = per_feed
        self._held = held
        self._tickets: set[Ticket] = set()
        self._feeds: Counter[str] = Counter()

    @property
    def bodies(self) -> int:
        """How many bodies are being received."""
        return len(self._tickets)

    @contextmanager
    def enter(self, feed: str) -> Iterator[Ticket]:
        """Take a place for a body of ``feed`` and give it back at the end.

        Raises:
            ProblemError: all places are taken.
        """
        if len(self._tickets) >= self._bodies or self._feeds[feed] >= self._per_feed:
            raise busy("too many batches are being received: send this one again", retry_seconds=RETRY_SECONDS)
        ticket = Ticket()
        self._tickets.add(ticket)
        self._feeds[feed] += 1
        try:
            yield ticket
        finally:
            self._tickets.discard(ticket)
            self._feeds[feed] -= 1
            self._feeds += Counter()

    def hold(self, ticket: Ticket, held_bytes: int) -> None:
        """Note what the body holds now.

        Raises:
            ProblemError: all bodies together hold too much, and this is not the only one.
        """
        ticket.held_bytes = held_bytes
        if len(self._tickets) > 1 and sum(one.held_bytes for one in self._tickets) > self._held:
            raise busy("batches hold too much memory: send this one again", retry_seconds=RETRY_SECONDS)
