"""What happens by the clock: taking over what other processes changed, and ending what has run out."""

import logging
import time
from collections.abc import Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dnsbl.errors import DnsblError
from dnsbl.service import Service
from profiler.errors import ProfilerError

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.25
EXPIRE_SECONDS = 5.0


def make_scheduler(service: Service) -> AsyncIOScheduler:
    """Return the scheduler with its jobs, to be started in the event loop."""
    # Its own log of every run would drown ours.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    scheduler = AsyncIOScheduler(timezone="UTC")
    for name, seconds, job in (
        ("refresh", REFRESH_SECONDS, service.refresh),
        ("expire", EXPIRE_SECONDS, lambda: service.publisher.expire(int(time.time()))),
    ):
        scheduler.add_job(_guarded(name, job), "interval", seconds=seconds, id=name, max_instances=1, coalesce=True)
    return scheduler


def _guarded(name: str, job: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except (DnsblError, ProfilerError) as error:
            log.error("%s: %s; tried again in a moment", name, error)

    return run
