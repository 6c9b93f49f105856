from collections.abc import Mapping, Sequence

from dnsbl.zone.manners import Manners
from dnsbl.zone.snapshot import Snapshots
from dnsbl.zone.zone import Zone

EDNS_PAYLOAD_BYTES: int
RCODES: dict[int, str]
TEST_TEXT: str

def reply(snapshots: Snapshots, query: bytes, client: bytes, now: int, is_tcp: bool) -> tuple[bytes | None, int, int]: ...
def wire_name(name: str) -> bytes: ...
def compile_zones(zones: Sequence[Zone], public_url: str, slots: Mapping[str, int], manners: Manners) -> bytes: ...
