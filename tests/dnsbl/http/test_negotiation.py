"""Which representation a client gets."""

import pytest

from dnsbl.http.negotiation import CSV, HTML, JSON, best

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, JSON),
        ("*/*", JSON),
        (BROWSER, HTML),
        ("application/json", JSON),
        ("text/*", HTML),
        ("text/html;q=0.5, application/json;q=0.4", HTML),
        ("text/html;q=0, */*", JSON),
        ("text/html;q=nonsense", JSON),
        ("image/png", JSON),
        ("", JSON),
    ],
)
def test_json_or_page(accept, wanted):
    assert best(accept, (JSON, HTML)) == wanted


def test_the_earliest_offered_wins_among_equals():
    assert best("text/csv, application/json", (JSON, CSV)) == JSON
    assert best("application/json;q=0.9, TEXT/CSV", (JSON, CSV)) == CSV
