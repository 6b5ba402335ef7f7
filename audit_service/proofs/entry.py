"""The canonical form of an event, which is a leaf of the tree, and the commitments that stand in it for personal data.

An entry is one JSON object in its canonical form (RFC 8785) with every field of its kind. What says who it was and
where they were is not in it, only a commitment to each: HMAC-SHA256 with a public key over a random opening and the
fields (as draft-ietf-keytrans-protocol does it). Without the opening nobody can try names until one fits; with it
anybody can check the fields. So an opening can be deleted, and the entry stays provable.
"""

import re
from binascii import hexlify, unhexlify
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from operator import itemgetter
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes, hmac

from audit_service.errors import ProofError
from audit_service.proofs.jcs import jcs

VERSION = 1
OPENING_SIZE = 16  # bytes
COMMITMENT_KEY = b"audit-service/commitment/v1".ljust(32, b"\x00")
MISSING = "missing"  # the kind of an entry that stands for no event

_HMAC = hmac.HMAC(COMMITMENT_KEY, hashes.SHA256())  # RFC 2104; a copy of it is twice as fast as Python's own

_encode = msgspec.json.Encoder().encode  # of texts, integers and null it makes what RFC 8785 wants


class Group(StrEnum):
    """Fields that are erased together."""

    WHO = "who"
    WHERE = "where"


_LABELS = {group: f"{group}\x00".encode() for group in Group}
_END = b',"where":"%b","who":"%b"}'  # of an entry: no plain field's name sorts after these
_END_SIZE = len(_END % (bytes(64), bytes(64)))
_SPLIT = re.compile(_END % (b"([0-9a-f]{64})", b"([0-9a-f]{64})") + rb"\Z")


class Form(msgspec.Struct, frozen=True):
    """Which fields of a kind of event are in its entry as they are, and which in a group's commitment; each sorted.

    Fields that came ``later`` are left out where they are null: so they are in no entry of an older event.
    """

    kind: str
    plain: tuple[str, ...]
    who: tuple[str, ...]
    where: tuple[str, ...]
    later: frozenset[str]
    shapes: tuple[Callable[..., msgspec.Struct], ...]  # of the entry, and of each group: what takes the values
    order: Callable[[Sequence[Any]], Sequence[Any]]  # from plain values, kind and version to their sorted order

    def plain_text(self, values: Sequence[Any]) -> bytes:
        """Return the canonical JSON of the ``plain`` fields with these values, of the kind and of the version.

        It is the entry without its commitments. Raises ``ProofError`` for what is no Unicode.
        """
        return self._encoded(self.shapes[0](*self.order((*values, self.kind, VERSION))))

    def group_text(self, group: Group, values: Sequence[Any]) -> bytes:
        """Return the canonical JSON of the fields of *group*, which its commitment is to.

        A value is a text, null, or canonical JSON as ``msgspec.Raw``. Raises ``ProofError`` for what is no Unicode.
        """
        return self._encoded(self.shapes[1 if group is Group.WHO else 2](*values))

    def fields(self, group: Group) -> tuple[str, ...]:
        """Return the names of the fields of *group*."""
        return self.who if group is Group.WHO else self.where

    def _encoded(self, made: msgspec.Struct) -> bytes:
        fields: Any = made
        if self.later:
            fields = msgspec.structs.asdict(made)
            for name in self.later:
                if fields.get(name, "") is None:
                    del fields[name]
        try:
            return _encode(fields)
        except UnicodeEncodeError:
            raise ProofError("a field is no Unicode text") from None


_COMMON = ("app", "id", "recorded_at", "seq", "timestamp")

# Fields that came after version 1, by the kind of event and where they belong: ``plain``, ``who`` or ``where``.
LATER: dict[tuple[str, str], tuple[str, ...]] = {
    # none yet
}


def _form(kind: str, plain: tuple[str, ...], who: tuple[str, ...], where: tuple[str, ...]) -> Form:
    later = {place: LATER.get((kind, place), ()) for place in ("plain", "who", "where")}
    plain = tuple(sorted(_COMMON + plain + later["plain"]))
    who, where = tuple(sorted(who + later["who"])), tuple(sorted(where + later["where"]))
    given = (*plain, "kind", "v")
    names = sorted(given)
    shapes = tuple(msgspec.defstruct("Fields", [(name, Any) for name in each]) for each in (names, who, where))
    order = itemgetter(*map(given.index, names))
    return Form(kind, plain, who, where, frozenset().union(*later.values()), shapes, order)


FORMS = {
    form.kind: form
    for form in (
        _form(
            "login",
            ("action", "method", "outcome", "reason"),
            who=("details", "username"),
            where=("network", "remote_addr", "request_id", "user_agent"),
        ),
        _form(
            "error",
            ("endpoint", "exception_type", "fingerprint", "http_method"),
            who=("message", "path", "traceback", "username"),
            where=("remote_addr", "request_id"),
        ),
        _form("admin", ("action",), who=("actor", "details", "target"), where=("remote_addr", "request_id")),
    )
}


def join_entry(plain: bytes, who: bytes, where: bytes) -> bytes:
    """Return the entry with this text of its plain fields, and these commitments."""
    return plain[:-1] + _END % (hexlify(where), hexlify(who))


def split_entry(entry: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what ``join_entry`` has joined. Raises ``ProofError`` for an entry without commitments at its end."""
    found = _SPLIT.match(entry, max(0, len(entry) - _END_SIZE))
    if found is None:
        raise ProofError("it does not end with its commitments, in hexadecimal digits")
    return entry[:-_END_SIZE] + b"}", unhexlify(found[2]), unhexlify(found[1])


def missing_entry(seq: int) -> bytes:
    """Return the entry that stands for an event that is declared to be missing."""
    return jcs({"kind": MISSING, "seq": seq, "v": VERSION})


def commitment(group: Group, text: bytes, opening: bytes) -> bytes:
    """Return the commitment to the *text* of a group's fields, which only who knows *opening* can check."""
    if len(opening) != OPENING_SIZE:
        raise ProofError(f"an opening has {OPENING_SIZE} bytes, not {len(opening)}")
    made = _HMAC.copy()
    made.update(opening + _LABELS[group] + text)
    return made.finalize()


@lru_cache(maxsize=65536)
def address_text(text: str) -> str:
    """Return an IP address in its one form: of IPv6 that of RFC 5952, of one that is mapped ``::ffff:192.0.2.7``.

    Raises ``ProofError`` for what is no address, such as one with a prefix.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise ProofError(f"{text[:80]!r} is no IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # Python before 3.13 writes it in another way
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)
