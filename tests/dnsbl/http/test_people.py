"""A person looks an address up in a browser, sees why, and takes it off with the form, without any script."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from dnsbl import offline
from dnsbl.http.problems import KINDS_BY_SLUG
from profiler.address import parse_network
from tests.dnsbl.http.conftest import NEIGHBOUR, ndjson, observation, wait_for

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORM = "application/x-www-form-urlencoded"
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects text, links and what the policy would block."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.blocked = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attributes)
        self.links += [given[name] for name in ("href", "src", "action") if name in given]
        if (
            tag in ("script", "style", "iframe", "img")
            or "style" in given
            or any(n.startswith("on") for n in given)
        ):
            self.blocked.append((tag, given))

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self):
        return " ".join(self.words)


def page(answer, status=200):
    assert answer.status == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    found = Page(answer.text)
    assert found.blocked == []
    assert all(link.startswith("/") and not link.startswith("//") for link in found.links)
    return found


def submit(api, ip, source="127.0.0.1", site="same-origin", **fields):
    return api.call(
        "POST", f"/ip/{ip}/delist", urlencode(fields), source=source, Sec_Fetch_Site=site, Content_Type=FORM,
        Accept=BROWSER,
    )  # fmt: skip


def test_the_start_page_has_a_search_box_and_its_style(api):
    found = page(api.get("/"))
    assert "127.0.0.1" in found.text
    style = next(link for link in found.links if link.endswith(".css"))
    answer = api.get(style)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert "prefers-color-scheme: dark" in answer.text


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("%20185.44.1.2%20", "/ip/185.44.1.2"),
        ("2A00:1450:0::1", "/ip/2a00:1450::1"),
        ("%5B2a00:1450::1%5D", "/ip/2a00:1450::1"),
        ("::ffff:185.44.1.2", "/ip/185.44.1.2"),
        ("", "/"),
    ],
)
def test_the_search_box_leads_to_the_page_of_the_address(api, asked, place):
    answer = api.get(f"/ip?address={asked}")
    assert (answer.status, answer.headers["location"]) == (303, place)


def test_the_search_box_says_what_is_wrong_and_runs_nothing(api):
    answer = api.get("/ip?address=%3Cscript%3Ealert(1)%3C/script%3E", Accept=BROWSER)
    assert "is not an IPv4 or IPv6 address" in page(answer, 400).text


def test_a_page_explains_why_an_address_is_listed(api, bot):
    text = page(api.get(f"/ip/{bot}")).text
    assert f"{bot} behaves like an infected host" in text
    assert "9.7.198.91.bl.vedette.test A 127.0.0.4" in text
    assert "dig +short 9.7.198.91.wl.vedette.test" in text
    assert "14 recipients unknown" in text
    assert "the suspicion has faded in about" in text
    assert "AS64500" in text
    assert "Token" in text


def test_the_weights_on_the_page_add_up(api, bot):
    html = api.get(f"/ip/{bot}").text.replace("\u2212", "-")
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        *weights, total = (float(text) for text in re.findall(r'<td class="number">([-+][0-9.]+)</td>', table))
        assert sum(weights) == pytest.approx(total, abs=0.01 * len(weights))


def test_the_same_page_under_the_api_for_who_prefers_it(api, bot):
    answer = api.get(f"/v1/ip/{bot}", Accept=BROWSER)
    assert answer.headers["vary"] == "Accept"
    assert "behaves like an infected host" in page(answer).text


def test_pages_of_servers_dynamic_space_and_unknown_addresses(api):
    lines = (
        observation("185.44.1.2", event="message", recipients=1, rdns="mail.example.org", rdns_verified=True,
                    helo="mail.example.org")
        for _ in range(40)
    )  # fmt: skip
    api.post_batch(ndjson(*lines))
    wait_for(lambda: api.get("/v1/ip/185.44.1.2").json["classes"] == ["mta"])
    assert "is a legitimate mail server" in page(api.get("/ip/185.44.1.2")).text
    assert "customers' own machines" in page(api.get(f"/ip/{NEIGHBOUR}")).text
    unknown = page(api.get("/ip/2a00:1450::77")).text
    assert "is not listed" in unknown
    assert "Nothing holds this address back" in unknown
    assert "Take it off" not in unknown


def test_an_owner_takes_an_address_off_with_the_form(api, bot):
    done = page(submit(api, bot, reason="cleaned", token=api.tokens["isp"]))
    assert "Taken off: bot" in done.text
    wait_for(lambda: "bot" not in api.get(f"/v1/ip/{bot}").json["classes"])
    after = page(api.get(f"/ip/{bot}")).text
    assert "Earlier listings" in after
    assert "delisted by isp cable" in after
    assert "cleaned" not in after.replace("and clean it", "")


def test_from_the_address_itself_the_form_needs_no_token(api):
    done = page(submit(api, "127.0.0.3", source="127.0.0.3", reason="x"))
    assert "There was nothing to take off" in done.text


def test_forms_that_are_refused(api, bot):
    assert page(submit(api, bot, reason="x"), 401)
    assert page(submit(api, bot, reason="x", token="guessed"), 401)
    assert page(submit(api, bot, reason="x", token=api.tokens["rival"]), 403)
    assert page(submit(api, bot, token=api.tokens["isp"]), 400)
    assert (
        "another site" in page(submit(api, bot, site="cross-site", reason="x", token=api.tokens["isp"]), 403).text
    )
    assert "bot" in api.get(f"/v1/ip/{bot}").json["classes"]


def test_what_was_written_by_hand_is_text(api):
    evil = "<b onclick=x>&\"'"
    offline.add_listing(api.service.config, parse_network("185.44.7.7"), evil)
    api.service.refresh()
    found = page(api.get("/ip/185.44.7.7"))
    assert evil in found.text
    assert "is listed by the operator" in found.text
    assert "write to them" in found.text


def test_every_kind_of_problem_has_its_page(api):
    for slug, kind in KINDS_BY_SLUG.items():
        assert kind.value.title in page(api.get(f"/problems/{slug}")).text
    assert page(api.get("/problems/none", Accept=BROWSER), 404)


def test_a_browser_gets_problems_as_pages(api):
    assert "There is nothing here" in page(api.get("/nothing", Accept=BROWSER), 404).text
    refused = api.get("/v1/networks/1.2.3.0/24/infected", Accept=BROWSER)
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert page(refused, 401)
