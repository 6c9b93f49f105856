"""Tokens, scopes, own addresses and forms: the pure part."""

import pytest

from dnsbl.http.auth import bearer_token, check_same_site, holds, intersection, is_own_address, remote_key
from dnsbl.http.problems import Kind, ProblemError
from profiler.address import parse, parse_network


def networks(*texts):
    return [parse_network(text) for text in texts]


def test_bearer_tokens():
    assert bearer_token(None) is None
    assert bearer_token("Bearer abc-._~+/=") == "abc-._~+/="
    assert bearer_token("bearer   abc ") == "abc"


@pytest.mark.parametrize("header", ["", "abc", "Basic YTpi", "Bearer", "Bearer a b", "Bearer ä"])
def test_other_authorization_is_refused(header):
    with pytest.raises(ProblemError) as caught:
        bearer_token(header)
    assert caught.value.status == 401
    assert "invalid_request" in caught.value.headers["WWW-Authenticate"]


def test_a_scope_holds_what_lies_inside_and_nothing_wider():
    scope = networks("185.1.0.0/16", "2a00:1::/32")
    assert holds(scope, parse_network("185.1.0.0/16"))
    assert holds(scope, parse_network("185.1.200.0/24"))
    assert holds(scope, parse_network("2a00:1:2::/48"))
    assert not holds(scope, parse_network("185.0.0.0/15"))
    assert not holds(scope, parse_network("185.2.0.0/24"))
    assert not holds(scope, parse_network("::/0"))
    assert not holds([], parse_network("185.1.0.0/16"))


def test_the_intersection_is_neither_wider_than_asked_nor_than_allowed():
    announced = networks("185.1.0.0/16", "185.2.0.0/16", "2a00::/16")
    own = networks("185.1.4.0/24", "185.2.0.0/15", "2a00:1::/32")
    assert {str(one) for one in intersection(announced, own)} == {"185.1.4.0/24", "185.2.0.0/16", "2a00:1::/32"}
    assert intersection(announced, networks("10.0.0.0/8")) == []


def test_the_intersection_names_nothing_twice():
    nested = networks("185.1.0.0/16", "185.1.4.0/24")
    assert intersection(nested, networks("185.0.0.0/8")) == networks("185.1.0.0/16")


@pytest.mark.parametrize("remote", ["185.1.2.3", "::ffff:185.1.2.3"])
def test_the_own_address(remote):
    assert is_own_address(remote, {}, parse("185.1.2.3"))
    assert not is_own_address(remote, {}, parse("185.1.2.4"))
    assert not is_own_address(remote, {"X-Forwarded-For": "185.1.2.3"}, parse("185.1.2.3"))


def test_who_cannot_be_named_owns_nothing():
    assert not is_own_address(None, {}, parse("185.1.2.3"))
    assert not is_own_address("a unix socket", {}, parse("185.1.2.3"))
    assert is_own_address("fe80::1%eth0", {}, parse("fe80::1"))


def test_where_a_connection_comes_from():
    assert remote_key("::ffff:185.1.2.3") == remote_key("185.1.2.3") == parse("185.1.2.3")
    assert remote_key(None) is None
    assert remote_key("") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"},
        {"Origin": "http://vedette.example:8053"},
        {"Origin": "https://vedette.example:8053"},
    ],
)
def test_forms_from_our_own_pages_are_taken(headers):
    check_same_site(headers, "vedette.example:8053")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://vedette.example:8053"},
        {"Origin": "null"},
        {"Origin": "http://vedette.example"},
        {"Origin": "http://vedette.example:8053.evil.example"},
    ],
)
def test_other_forms_are_refused(headers):
    with pytest.raises(ProblemError) as caught:
        check_same_site(headers, "vedette.example:8053")
    assert caught.value.kind is Kind.CROSS_SITE
    with pytest.raises(ProblemError):
        check_same_site(headers, "")
