"""An ISP's list of infected addresses as CSV (RFC 4180), safe to open in a spreadsheet. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping

COLUMNS = (
    "ip", "class", "confidence", "first_seen", "last_seen", "listed_since", "expires", "reason", "evidence",
    "asn", "network", "isp",
)  # fmt: skip
#: First characters that a spreadsheet would take for a formula; names in evidence are chosen by strangers.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(infected: Iterable[Mapping[str, object]]) -> str:
    """Return the infected addresses as CSV (RFC 4180) with a header line; evidence is joined with semicolons."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in infected:
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, list):
        value = "; ".join(str(one["says"]) if isinstance(one, dict) else str(one) for one in value)
    text = str(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text
