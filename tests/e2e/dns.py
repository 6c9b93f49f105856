"""Questions to Vedette's DNS port, put with dnspython, which shares no code with the server."""

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.reversename

from tests.e2e.server import ORIGIN

QUERY_SECONDS = 5.0


def codes(port: int, zone: str, address: str, server: str = "127.0.0.1") -> list[str]:
    """Return the A records of an address in a zone of the origin; none if it is not listed."""
    reverse = dns.reversename.from_address(address).to_text().rsplit(".", 3)[0]
    query = dns.message.make_query(f"{reverse}.{zone}.{ORIGIN}.", dns.rdatatype.A)
    answer = dns.query.udp(query, server, port=port, timeout=QUERY_SECONDS)
    assert answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), answer
    return sorted(record.address for rrset in answer.answer for record in rrset)
