"""Signed notes, their keys and checkpoints: what is accepted, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from audit_service.proofs.keys import SignerKey, new_key, parse_signer, parse_verifier
from audit_service.proofs.merkle import EMPTY_ROOT, leaf_hash
from audit_service.proofs.note import parse_note, sign, verify

# Of golang.org/x/mod, sumdb/note (BSD-3-Clause): two keys, and what they signed.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
BY_PETER = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
BY_ENOCH = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# Of C2SP signed-note, by its example's key.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

ORIGIN = "audit.example.org/trail/0123456789abcdef"
KEY = new_key(ORIGIN)


def note(*below: str, text: str = TEXT) -> bytes:
    return f"{text}\n{''.join(below)}".encode()


def test_keys_of_others() -> None:
    signer = parse_signer(PETERS_SECRET)
    assert str(signer.verifier) == PETER
    assert signer.text() == PETERS_SECRET
    assert signer.text()[-20:] not in repr(signer)
    assert bytes(sign(TEXT, signer)) == note(BY_PETER)
    assert str(parse_verifier(SPEC_KEY)) == SPEC_KEY
    assert parse_verifier(str(KEY.verifier)) == KEY.verifier
    assert parse_signer(KEY.text()) == KEY


def test_notes_of_others() -> None:
    peter, enoch = parse_verifier(PETER), parse_verifier(ENOCH)
    both = parse_note(note(BY_PETER, BY_ENOCH, BY_PETER))
    assert both.text == TEXT
    assert len(both.signatures) == 2
    assert verify(both, [peter]) == [peter]
    assert verify(both, [peter, enoch]) == [peter, enoch]
    with pytest.raises(ProofError, match=r"no known key has signed this: .*PeterNeumann\+c74f20a3"):
        verify(both, [KEY.verifier])
    with pytest.raises(ProofError, match="the signature of PeterNeumann"):
        verify(parse_note(note(BY_PETER, text=TEXT + "More.\n")), [peter, enoch])


@pytest.mark.parametrize("key", [PETER, PETERS_SECRET], ids=["public", "secret"])
def test_no_part_of_a_key_and_no_other_letter_is_a_key(key: str) -> None:
    parse = parse_signer if key is PETERS_SECRET else parse_verifier
    mangled = [key[first:end] for first in range(len(key)) for end in range(first + 1, len(key) + 1)]
    mangled += [key[:place] + chr(ord(key[place]) + 1) + key[place + 1 :] for place in range(len(key))]
    mangled += [f" {key}", f"{key}\n", f"{key}="]
    for text in set(mangled) - {key}:
        with pytest.raises(ProofError):
            parse(text)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        note(),
        note(BY_PETER)[:-1],
        b"\x01" + note(BY_PETER),
        b"\xff" + note(BY_PETER),
        note(BY_PETER.replace("\n", "\r\n")),
        note(BY_PETER.replace("PeterNeumann", "Peter Neumann")),
        note(BY_PETER.replace("PeterNeumann", "Peter+Neumann")),
        note(BY_PETER.replace("PeterNeumann", "Peter\u00a0Neumann")),
        note(BY_PETER.replace("\u2014", "-")),
        note(BY_PETER.replace("AM=", "AN=")),  # the same bytes, in another spelling
        note("\u2014 PeterNeumann x08gow=\n"),
        note(BY_PETER, "Unexpected line.\n"),
        note(BY_PETER * 101),
    ],
)
def test_what_is_no_note(data: bytes) -> None:
    with pytest.raises(ProofError):
        parse_note(data)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_note_comes_back_as_it_was_written(text: str) -> None:
    written = sign(f"{text}\n\n{text}\n", KEY)
    assert parse_note(bytes(written)) == written


def test_checkpoint() -> None:
    checkpoint = Checkpoint(ORIGIN, 12, leaf_hash(b""))
    data = sign_checkpoint(checkpoint, KEY)
    assert open_checkpoint(data, ORIGIN, [KEY.verifier]) == checkpoint
    for origin, key, refusal in (
        ("other.example.org", KEY, "not of 'other.example.org'"),
        (ORIGIN, new_key(ORIGIN), "no known key"),
    ):
        with pytest.raises(ProofError, match=refusal):
            open_checkpoint(data, origin, [key.verifier])


ROOT = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\n{ROOT}\nextension\n",
        *(
            f"{ORIGIN}\n{size}\n{ROOT}\n"
            for size in ("", "007", "+7", "-1", "1_0", " 1", "\uff17", "1e3", "0x1", "9" * 20)
        ),
        f"{ORIGIN}\n1\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n1\n{ROOT[:-2]}1=\n",
        f"{ORIGIN}\n1\n{ROOT[:40]}\n",
        f"{ORIGIN}\n0\n{ROOT}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(ProofError):
        parse_checkpoint(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    assert parse_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT).text()).size == 0


def test_a_key_has_a_name() -> None:
    for name in ("", "a b", "a+b", "a\nb"):
        with pytest.raises(ProofError):
            new_key(name)
    assert isinstance(new_key("a"), SignerKey)
