"""The canonical form of an event, which is a leaf of the tree, and the commitments that stand in it for personal data.

An entry is one JSON object in its canonical form (RFC 8785) with every field of its kind. What says who it was and
where they were is not in it, only a commitment to each: HMAC-SHA256 with a public key over a random opening and the
fields (as draft-ietf-keytrans-protocol does it). Without the opening nobody can try names until one fits; with it
anybody can check the fields. So an opening can be deleted, and the entry stays provable.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.jcs import jcs

VERSION = 1
OPENING_SIZE = 16  # bytes
COMMITMENT_KEY = b"audit-service/commitment/v1".ljust(32, b"\x00")

Text = str | int | None


class Group(StrEnum):
    """Fields that are erased together."""

    WHO = "who"
    WHERE = "where"


class Form(msgspec.Struct, frozen=True):
    """Which fields of a kind of event are in its entry as they are, and which in a group's commitment."""

    plain: tuple[str, ...]
    groups: dict[Group, tuple[str, ...]]


_COMMON = ("app", "id", "recorded_at", "seq", "timestamp")
FORMS = {
    "login": Form(
        plain=(*_COMMON, "action", "method", "outcome", "reason"),
        groups={
            Group.WHO: ("details", "username"),
            Group.WHERE: ("network", "remote_addr", "request_id", "user_agent"),
        },
    ),
    "error": Form(
        plain=(*_COMMON, "endpoint", "exception_type", "fingerprint", "http_method"),
        groups={
            Group.WHO: ("message", "path", "traceback", "username"),
            Group.WHERE: ("remote_addr", "request_id"),
        },
    ),
    "admin": Form(
        plain=(*_COMMON, "action"),
        groups={Group.WHO: ("actor", "details", "target"), Group.WHERE: ("remote_addr", "request_id")},
    ),
}


def entry(kind: str, event: Mapping[str, Any], commitments: Mapping[Group, bytes]) -> bytes:
    """Return the entry of an *event* of that *kind*: its fields by their names, in the forms of ``canonical``."""
    fields = {name: event[name] for name in FORMS[kind].plain}
    return jcs({**fields, **{group: commitments[group].hex() for group in Group}, "kind": kind, "v": VERSION})


def missing_entry(seq: int) -> bytes:
    """Return the entry that stands for an event that is declared to be missing."""
    return jcs({"kind": "missing", "seq": seq, "v": VERSION})


def commitment(kind: str, group: Group, event: Mapping[str, Any], opening: bytes) -> bytes:
    """Return the commitment to the fields of a *group*, which only who knows *opening* can check."""
    if len(opening) != OPENING_SIZE:
        raise ProofError(f"an opening has {OPENING_SIZE} bytes, not {len(opening)}")
    fields = {name: event[name] for name in FORMS[kind].groups[group]}
    message = opening + group.encode() + b"\x00" + jcs(fields)
    return hmac.digest(COMMITMENT_KEY, message, hashlib.sha256)


def time_text(time: datetime) -> str:
    """Return *time* in UTC with six digits of a second, always: ``2026-01-02T03:04:05.000000Z``."""
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def address_text(text: str) -> str:
    """Return an IP address in its one form: IPv6 as RFC 5952 has it, an IPv4-mapped one as its IPv4 address.

    Raises ``ProofError`` for what is no address, such as one with a prefix.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise ProofError(f"{text[:80]!r} is no IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # Python before 3.13 writes it in another way
        return str(address.ipv4_mapped)
    return str(address)
