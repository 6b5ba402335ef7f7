"""Canonical JSON, next to another implementation of RFC 8785."""

import json
import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from audit_service.errors import ProofError
from audit_service.proofs.jcs import LARGEST, jcs

FLOATS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", bits.to_bytes(8))[0])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-LARGEST + 1, LARGEST - 1) | FLOATS.filter(lambda value: abs(value) < float("inf"))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
)


@given(VALUES)
@example({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7})
@example([1e-7, 1e-6, 1.0, -0.0, 1e21, 1e20, 123456789.125, 5e-324, 1.7976931348623157e308, 333333333.33333329])
@example('\x00\x1f\x7f\u2028\u2029\ufeff"\\/\b\f\n\r\t')
def test_the_text_is_that_of_another_implementation(value: Any) -> None:
    text = jcs(value)
    assert text == rfc8785.dumps(value)
    assert json.loads(text, parse_int=float) == value  # numbers are doubles, as in ECMAScript


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), LARGEST + 1, "\ud800", {"\ud800": 1}, {1: 2}, (1,), b"x", {"a": [object()]}]
)
def test_what_has_no_canonical_text(value: object) -> None:
    with pytest.raises(ProofError):
        jcs(value)
