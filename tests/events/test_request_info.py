"""What a request says of its sender."""

import pytest
from flask import Flask

from audit_service.events import request_info


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::", "::"),
        ("::1", "::1"),
        # the one form of RFC 5952
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        # IPv4 in IPv6: mapped is IPv4, the others are IPv6
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),
        ("2002:C000:0201::1", "2002:c000:201::1"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("::ffff:0192.0.2.1", None),
        # zone ids
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1%25eth0", "2001:db8::1"),
        ("fe80::1%<script>", "fe80::1"),
        ("fe80::1%", None),
        ("fe80::1%eth0%1", None),
        ("192.0.2.1%eth0", None),
        # ports and brackets
        ("192.0.2.1:80", "192.0.2.1"),
        ("192.0.2.1:0", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("192.0.2.1:", None),
        ("192.0.2.1:http", None),
        ("192.0.2.1:-1", None),
        ("192.0.2.1:655360", None),
        ("192.0.2.1:80:80", None),
        ("192.0.2.1:\u0663", None),
        ("192.0.2.1:80\n", None),
        ("[::1]:80\n", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]", None),
        ("[2001:db8::1]x", None),
        ("[::1]:", None),
        ("[[::1]]", None),
        ("[]", None),
        ("[]:80", None),
        # numbers that some programs read in another way than others
        ("192.0.2.300", None),
        ("256.0.0.1", None),
        ("010.0.0.1", None),
        ("10.0.0.01", None),
        ("0x7f.0.0.1", None),
        ("0x7f000001", None),
        ("2130706433", None),
        ("017700000001", None),
        ("127.1", None),
        ("192.0.2", None),
        ("1.2.3.4.5", None),
        ("-1.0.0.1", None),
        ("+1.0.0.1", None),
        ("1e1.0.0.1", None),
        ("\u0661\u0669\u0662.0.2.1", None),
        ("\uff11\uff19\uff12.0.2.1", None),
        ("192\u30020\u30022\u30021", None),
        # dots, colons, white space, control characters
        ("192.0.2.1.", None),
        ("192..2.1", None),
        (".0.2.1", None),
        (":::", None),
        ("1:2:3:4:5:6:7", None),
        ("1:2:3:4:5:6:7:8:9", None),
        ("2001:db8::1::2", None),
        ("2001:db8::g", None),
        ("12345::", None),
        (" 192.0.2.1", None),
        ("192.0.2.1 ", None),
        ("\t192.0.2.1", None),
        ("192.0.2.1\n", None),
        ("192.0.2.1\r\nX: y", None),
        ("192.0.2.1\x00", None),
        ("1\x00", None),
        ("\ud800", None),
        # what is no address
        ("192.0.2.0/24", None),
        ("2001:db8::/64", None),
        ("192.0.2.1,198.51.100.1", None),
        ('"192.0.2.1"', None),
        ("for=192.0.2.1", None),
        ("unknown", None),
        ("_hidden", None),
        ("localhost", None),
        ("<script>", None),
        ("1" * 5000, None),
        ("a" * 5000, None),
        ("", None),
        (None, None),
    ],
)
def test_addresses(text: str | None, address: str | None) -> None:
    assert request_info.parse_address(text) == address
    assert request_info.parse_address(address) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("192.0.3.0", "192.0.3.0/24"),
        ("0.0.0.0", "0.0.0.0/24"),
        ("255.255.255.255", "255.255.255.0/24"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::", "2001:db8:0:1::/64"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:ffff:ffff::/64"),
        ("2002:c000:201::1", "2002:c000:201::/64"),
        ("::1", "::/64"),
        (request_info.parse_address("[::ffff:192.0.2.1%eth0]:80"), "192.0.2.0/24"),
        (None, None),
    ],
)
def test_networks(address: str | None, network: str | None) -> None:
    assert request_info.network_of(address) == network


def test_outside_a_request_everything_is_none() -> None:
    assert request_info.client() == request_info.Client()
    assert request_info.target() == request_info.Target()


def test_a_sane_request_id_is_kept() -> None:
    with Flask("x").test_request_context(headers={"X-Request-ID": "abc-123"}):
        assert request_info.client().request_id == "abc-123"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<b>", "é"])
def test_else_one_is_made_for_the_whole_request(sent: str) -> None:
    app = Flask("x")
    with app.test_request_context(headers={"X-Request-ID": sent}):
        made = request_info.client().request_id
        assert made not in (None, sent)
        assert request_info.client().request_id == made
        with app.app_context():
            assert request_info.client().request_id == made


def test_long_values_are_cut_and_the_query_is_left_out() -> None:
    with Flask("x").test_request_context("/" + "p" * 5000 + "?secret=1", headers={"User-Agent": "u" * 5000}):
        assert request_info.client().user_agent == "u" * 512
        assert request_info.target().path == "/" + "p" * 2047
