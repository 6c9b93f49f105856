"""Master files read for comparison, against dnspython's own reader."""

import dns.zone
import pytest

from dnsbl.errors import ExportError
from dnsbl.export.difference import Change, difference
from dnsbl.export.master import read
from tests.dnsbl.export.scenes import URL, ZONES, columns, entries

FILE = """\
; a comment
$ORIGIN bl.Example.
$TTL 300
@ IN SOA ns h ( 7 ; serial
    3600 600 ; refresh ( retry
    604800 60 )
  NS ns
  600 NS ns.other.
ns A 192.0.2.53
   AAAA 2001:DB8::0:53
x.y 1h IN TXT "one; (two)" "three"
x.y TXT bare
$ORIGIN sub
@ MX 10 mail
*.2.0.192 A 127.0.0.2 ; why
"""


def test_names_types_and_continued_lines_are_read_as_dnspython_reads_them() -> None:
    zone = dns.zone.from_text(FILE, relativize=False, check_origin=False)
    theirs = {
        name.to_text().lower(): {
            " ".join(f"{rdataset.rdtype.name} {rdata.to_text()}".split())
            for rdataset in node.rdatasets
            for rdata in rdataset
        }
        for name, node in zone.nodes.items()
    }
    (soa,) = (record for record in theirs["bl.example."] if record.startswith("SOA"))
    theirs["bl.example."] = theirs["bl.example."] - {soa} | {soa.replace(" 7 ", " ")}
    assert {
        name: {record.lower() for record in records} for name, records in read(FILE.splitlines(True)).items()
    } == {name: {record.lower() for record in records} for name, records in theirs.items()}


def test_ttls_are_compared_where_asked_for() -> None:
    found = read(FILE.splitlines(True), with_ttl=True)
    assert found["x.y.bl.example."] == ('1h TXT "one; (two)" "three"', '300 TXT "bare"')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("$INCLUDE other", "line 2: $INCLUDE is not read here"),
        ("$GENERATE 1-9 $ A 127.0.0.$", "line 2: $GENERATE is not read here"),
        ("name A", "line 2: "),
        ("name A 1.2.3.x", "line 2: "),
        ("name WHAT 1", "line 2: "),
        ("alone", "line 2: "),
    ],
)
def test_what_is_no_master_file_is_refused_with_its_line(line: str, says: str) -> None:
    with pytest.raises(ExportError, match="line") as error:
        read(["$ORIGIN x.\n", f"{line}\n"])
    assert str(error.value).startswith(says)


@pytest.mark.parametrize("name", ZONES)
def test_every_dump_is_read_whole(name: str) -> None:
    from dnsbl.export import bind

    text = "".join(bind.lines(ZONES[name], columns(entries(7, 60)), public_url=URL))
    zone = dns.zone.from_text(text, relativize=False, check_origin=False)
    ours = read(text.splitlines(True))
    assert {name.to_text() for name in zone.nodes} == ours.keys()
    assert sum(map(len, ours.values())) == sum(len(one) for node in zone.nodes.values() for one in node.rdatasets)


def test_a_difference_leads_from_one_side_to_the_other() -> None:
    old = {"a": ("1", "2"), "b": ("1",), "same": ("1", "2")}
    new = {"a": ("2", "3"), "c": ("4",), "same": ("2", "1")}
    found = difference(old, new)
    assert found.added == (Change("c", (), ("4",)),)
    assert found.removed == (Change("b", ("1",), ()),)
    assert found.changed == (Change("a", ("1",), ("3",)),)
    assert not difference(old, dict(old))
