"""The entry of an event: its bytes never change, and it tells nothing of a person without the openings."""

import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest

from audit_service.errors import ProofError
from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import (
    FORMS,
    Group,
    address_text,
    commitment,
    join_entry,
    missing_entry,
)
from audit_service.proofs.jcs import jcs
from audit_service.proofs.merkle import leaf_hash

WHO, WHERE = bytes(range(16)), bytes(range(16, 32))
LOGIN: dict[str, Any] = {
    "id": "01a2161e-708d-7259-8aa6-d2b8a08423c7",
    "seq": 7,
    "timestamp": "2026-01-02T03:04:05.000000Z",
    "recorded_at": "2026-01-02T03:04:05.000123Z",
    "app": "shop",
    "action": "login",
    "outcome": "failure",
    "reason": "bad_password",
    "method": None,
    "username": "J\u00fcrgen \u4f60",
    "details": msgspec.Raw(jcs({"b": 1.0, "a": [True, None]})),
    "network": "192.0.2.0/24",
    "remote_addr": "192.0.2.7",
    "request_id": None,
    "user_agent": 'Mozilla "5.0"',
}


def commitments(event: dict[str, Any]) -> tuple[bytes, bytes]:
    form = FORMS["login"]
    who, where = (form.group_text(group, [event[name] for name in form.fields(group)]) for group in Group)
    return commitment(Group.WHO, who, WHO), commitment(Group.WHERE, where, WHERE)


def entry(event: dict[str, Any]) -> bytes:
    form = FORMS["login"]
    return join_entry(form.plain_text([event[name] for name in form.plain]), *commitments(event))


def test_the_bytes_of_version_1() -> None:
    """If this fails, every proof that was ever made fails: a new form is a new version."""
    who_commitment, where_commitment = commitments(LOGIN)
    key = b"audit-service/commitment/v1" + bytes(5)
    who = b'who\x00{"details":{"a":[true,null],"b":1},"username":"J\xc3\xbcrgen \xe4\xbd\xa0"}'
    assert who_commitment == hmac.new(key, WHO + who, hashlib.sha256).digest()
    where = (
        b'where\x00{"network":"192.0.2.0/24","remote_addr":"192.0.2.7","request_id":null,'
        b'"user_agent":"Mozilla \\"5.0\\""}'
    )
    assert where_commitment == hmac.new(key, WHERE + where, hashlib.sha256).digest()
    assert entry(LOGIN) == (
        b'{"action":"login","app":"shop","id":"01a2161e-708d-7259-8aa6-d2b8a08423c7","kind":"login","method":null,'
        b'"outcome":"failure","reason":"bad_password","recorded_at":"2026-01-02T03:04:05.000123Z","seq":7,'
        b'"timestamp":"2026-01-02T03:04:05.000000Z","v":1,'
        b'"where":"' + where_commitment.hex().encode() + b'","who":"' + who_commitment.hex().encode() + b'"}'
    )
    assert missing_entry(9) == b'{"kind":"missing","seq":9,"v":1}'
    assert len({leaf_hash(entry(LOGIN)), leaf_hash(missing_entry(9))}) == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_of_an_event_is_in_its_entry_or_in_a_commitment(kind: Any) -> None:
    form = FORMS[kind.name]
    fields = [*form.plain, *form.who, *form.where]
    assert sorted(fields) == sorted(kind.item.__struct_fields__)


@pytest.mark.parametrize("name", LOGIN)
def test_each_field_changes_the_entry(name: str) -> None:
    changed = {**LOGIN, name: "changed"}
    assert entry(changed) != entry(LOGIN)


def test_an_entry_says_nothing_of_the_person() -> None:
    text = entry(LOGIN).decode()
    assert all(str(LOGIN[name]) not in text for name in ("username", "remote_addr", "network", "user_agent"))
    assert json.loads(text)["who"] == commitments(LOGIN)[0].hex()
    with pytest.raises(ProofError):
        commitment(Group.WHO, b"{}", WHO[:15])
    assert len({commitment(group, b"{}", key) for group in Group for key in (WHO, WHERE)}) == 4


def test_addresses_have_one_form() -> None:
    for text, canonical in (
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("::ffff:c000:207", "::ffff:192.0.2.7"),
    ):
        assert address_text(text) == canonical
    for text in ("192.0.2.0/24", "192.0.2.007", "", "here"):
        with pytest.raises(ProofError):
            address_text(text)
