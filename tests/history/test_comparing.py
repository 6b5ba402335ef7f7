"""Comparisons of texts: the ranges that an index is asked for hold what they must."""

from hypothesis import given
from hypothesis import strategies as st

from audit_service.history.comparing import _following, _spellings, small

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(TEXT, TEXT)
def test_a_range_holds_the_texts_with_that_beginning_and_no_other(prefix: str, text: str) -> None:
    following = _following(prefix)
    for each in (text, prefix + text, prefix):
        is_within = each.encode() >= prefix.encode() and (following is None or each.encode() < following.encode())
        assert is_within == each.startswith(prefix)


@given(TEXT, st.data())
def test_any_spelling_begins_with_one_that_is_looked_up(text: str, data: st.DataObject) -> None:
    spelt = "".join(
        data.draw(st.sampled_from([each.lower(), each.upper()])) if each.isascii() else each for each in text
    )
    spellings = _spellings(text)
    assert len(spellings) <= 16
    assert small(spelt) == small(text)
    assert spelt.startswith(tuple(spellings))


def test_what_is_no_letter_costs_no_spelling() -> None:
    assert _spellings("ab-1") == {"ab-1", "Ab-1", "aB-1", "AB-1"}
    assert {each.lower() for each in _spellings("user199999x")} == {"user199999"}
