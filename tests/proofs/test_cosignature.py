"""Cosignatures: their bytes, and what is refused."""

from base64 import b64encode

import msgspec
import pytest

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint
from audit_service.proofs.cosignature import LAST_TIME, sign_cosignature, verify_cosignature
from audit_service.proofs.keys import Algorithm, SignerKey, new_key, parse_verifier
from audit_service.proofs.note import Signature, parse_note, parse_signature

TIME = 1679315147
KEY = SignerKey("witness.example.com/w1", Algorithm.COSIGNATURE, bytes(range(32)))
TEXT = "example.com/behind-the-sofa\n20852163\nICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"
# Made by OpenSSL: 'openssl pkeyutl -sign -rawin' over "cosignature/v1\ntime 1679315147\n" and the text.
LINE = (
    "\u2014 witness.example.com/w1 "
    "oAWfEQAAAABkGFDL/8TmSc/ZK8HVGHVdXPGEctX2Ts+/A5lSCSRua3wj2XSuvMFRez/qO7uYmpXxubidw6k+yR1E9sLUj6l3dkC5AQ=="
)
PUBLIC = "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"


def test_the_bytes_of_a_cosignature() -> None:
    signature = sign_cosignature(KEY, TEXT, TIME)
    assert str(KEY.verifier) == PUBLIC
    assert signature == parse_signature(LINE)
    assert signature.data[:8] == TIME.to_bytes(8, "big")
    assert len(signature.data) == 72
    assert verify_cosignature(parse_verifier(PUBLIC), TEXT, signature) == TIME


@pytest.mark.parametrize("time", [0, 1, LAST_TIME])
def test_every_time_that_there_is(time: int) -> None:
    assert verify_cosignature(KEY.verifier, TEXT, sign_cosignature(KEY, TEXT, time)) == time


@pytest.mark.parametrize("time", [-1, LAST_TIME + 1])
def test_no_other_time(time: int) -> None:
    with pytest.raises(ProofError, match="from 0 to 2"):
        sign_cosignature(KEY, TEXT, time)


def test_a_time_beyond_the_last_one_is_refused_even_if_it_is_signed() -> None:
    beyond = LAST_TIME + 1
    data = beyond.to_bytes(8, "big") + KEY.sign(f"cosignature/v1\ntime {beyond}\n{TEXT}".encode())
    with pytest.raises(ProofError, match="beyond"):
        verify_cosignature(KEY.verifier, TEXT, Signature(KEY.name, KEY.verifier.key_id, data))


def test_each_bit_counts() -> None:
    good = sign_cosignature(KEY, TEXT, TIME)
    for place in range(len(good.data) * 8):
        data = bytearray(good.data)
        data[place // 8] ^= 1 << place % 8
        with pytest.raises(ProofError):
            verify_cosignature(KEY.verifier, TEXT, msgspec.structs.replace(good, data=bytes(data)))


@pytest.mark.parametrize("data", [b"", bytes(8), bytes(64), bytes(71), bytes(73), bytes(8 + 2420)])
def test_other_lengths_are_refused(data: bytes) -> None:
    with pytest.raises(ProofError, match=f"has {len(data)} bytes, not 72"):
        verify_cosignature(KEY.verifier, TEXT, Signature(KEY.name, KEY.verifier.key_id, data))


def test_it_is_of_one_text_one_name_and_one_key() -> None:
    good = sign_cosignature(KEY, TEXT, TIME)
    with pytest.raises(ProofError, match="not valid"):
        verify_cosignature(KEY.verifier, TEXT.replace("20852163", "20852164"), good)
    with pytest.raises(ProofError, match=r"not of witness\.example\.com/w1"):
        verify_cosignature(KEY.verifier, TEXT, msgspec.structs.replace(good, name="witness.example.com/w2"))
    other = new_key(KEY.name, Algorithm.COSIGNATURE)
    with pytest.raises(ProofError, match="the cosignature is of"):
        verify_cosignature(other.verifier, TEXT, good)


def test_a_log_key_cosigns_nothing_and_a_signature_is_no_cosignature() -> None:
    log_key = new_key(KEY.name)
    with pytest.raises(ProofError, match="none for cosignatures"):
        sign_cosignature(log_key, TEXT, TIME)
    with pytest.raises(ProofError, match="none for cosignatures"):
        verify_cosignature(log_key.verifier, TEXT, sign_cosignature(KEY, TEXT, TIME))
    plain = Signature(KEY.name, KEY.verifier.key_id, KEY.sign(TEXT.encode()))
    with pytest.raises(ProofError, match="has 64 bytes"):
        verify_cosignature(KEY.verifier, TEXT, plain)


def test_it_stands_below_a_checkpoint() -> None:
    text = Checkpoint("example.com/log", 1, bytes(32)).text()
    line = sign_cosignature(KEY, text, TIME)
    content = b64encode(line.key_id.to_bytes(4, "big") + line.data).decode()
    note = parse_note(f"{text}\n\u2014 {KEY.name} {content}\n".encode())
    assert verify_cosignature(KEY.verifier, note.text, note.signatures[0]) == TIME
