"""Policies: whom to believe."""

import itertools

import pytest

from audit_service.errors import ProofError
from audit_service.proofs.keys import Algorithm, SignerKey, VerifierKey, new_key, parse_verifier
from audit_service.proofs.policy import Policy, parse_policy

LOG = new_key("audit.example.org/trail/0123456789abcdef").verifier
W = [new_key(f"witness.example/{n}", Algorithm.COSIGNATURE).verifier for n in range(5)]
# The example of C2SP tlog-policy, with keys.
TWO_LEVELS = f"""\
# two organizations
log {LOG} https://audit.example.org

witness X1 {W[0]} https://witness.example/x1
witness\tX2   {W[1]}
  witness X3 {W[2]}\t
group X-witnesses 2 X1 X2 X3

witness Y1 {W[3]}
witness Y2 {W[4]}
\t # either of them
group Y-witnesses any Y1 Y2

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def policy(*lines: object) -> Policy:
    return parse_policy("".join(f"{line}\n" for line in lines).encode())


def test_the_example_of_the_specification() -> None:
    found = parse_policy(TWO_LEVELS.encode())
    assert [(log.key, log.url) for log in found.logs] == [(LOG, "https://audit.example.org")]
    assert found.log_keys(LOG.name) == [LOG]
    assert found.log_keys("another") == []
    assert {name: (each.key, each.url) for name, each in found.witnesses.items()} == {
        "X1": (W[0], "https://witness.example/x1"),
        "X2": (W[1], None),
        "X3": (W[2], None),
        "Y1": (W[3], None),
        "Y2": (W[4], None),
    }
    for chosen in itertools.product([False, True], repeat=5):
        cosigners = {key for key, is_chosen in zip(W, chosen, strict=True) if is_chosen}
        assert found.is_met(cosigners) == (sum(chosen[:3]) >= 2 and any(chosen[3:]))


def test_a_quorum_of_nobody_and_of_one() -> None:
    assert policy("quorum none").is_met([])
    one = policy(f"witness w {W[0]}", "quorum w")
    assert one.is_met([W[0], W[1]])
    assert not one.is_met([W[1]])
    assert not one.is_met([])


def test_a_witness_of_the_same_name_with_another_key_is_another_one() -> None:
    impostor = new_key(W[0].name, Algorithm.COSIGNATURE).verifier
    assert not policy(f"witness w {W[0]}", "quorum w").is_met([impostor])


def test_two_keys_of_a_log() -> None:
    new = new_key(LOG.name).verifier
    assert policy(f"log {LOG}", f"log {new}", "quorum none").log_keys(LOG.name) == [LOG, new]


def test_names_are_octets() -> None:
    found = parse_policy(
        b"# \xff\nwitness K %b\nwitness \xe2\x84\xaa %b\nwitness \xff\xc2\xa0\xc2\x85 %b\nquorum \xff\xc2\xa0\xc2\x85"
        % tuple(str(w).encode() for w in W[:3])
    )
    assert len(found.witnesses) == 3
    assert found.is_met([W[2]])
    assert not found.is_met(W[:2])


def same_key(name: str, algorithm: Algorithm = Algorithm.COSIGNATURE) -> VerifierKey:
    return SignerKey(name, algorithm, bytes(32)).verifier


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has a line 'quorum NAME'"),
        ([f"log {LOG}"], "has a line 'quorum NAME'"),
        (["quorum none", "quorum none"], "line 2 .*a quorum already"),
        (["quorum w", f"witness w {W[0]}"], "line 1 .*no line before"),
        (["group g any w", f"witness w {W[0]}", "quorum g"], "line 1 .*no line before"),
        (["group g any g", "quorum g"], "no line before"),
        ([f"witness w {W[0]}", "group g any none", "quorum g"], "no line before"),
        ([f"witness none {W[0]}", "quorum none"], "'none' has a meaning already"),
        ([f"witness w {W[0]}", f"witness w {W[1]}", "quorum w"], "line 2 .*'w' has a meaning already"),
        ([f"witness w {W[0]}", "group w any w", "quorum w"], "'w' has a meaning already"),
        ([f"witness w {W[0]}", "group g any w w", "quorum g"], "only once"),
        ([f"witness w {W[0]}", "group g any w", "group h any w", "quorum g"], "line 3 .*only once"),
        ([f"witness w {W[0]}", "group g 0 w", "quorum g"], "0 of 1 members"),
        ([f"witness w {W[0]}", "group g 2 w", "quorum g"], "2 of 1 members"),
        ([f"witness w {W[0]}", "group g 01 w", "quorum g"], "no decimal number"),
        ([f"witness w {W[0]}", "group g ALL w", "quorum g"], "no decimal number"),
        (["group g any", "quorum none"], "a line is 'log KEY"),
        ([f"log {LOG} https://a https://b", "quorum none"], "a line is 'log KEY"),
        (["log", "quorum none"], "a line is 'log KEY"),
        (["Quorum none"], "a line is 'log KEY"),
        (["quorum none # nobody"], "a line is 'log KEY"),
        ([f"log {W[0]}", "quorum none"], "has the kind 04, and those of logs have the kind 01"),
        ([f"witness w {LOG}", "quorum w"], "has the kind 01, and those of witnesses have the kind 04"),
        ([f"log {LOG}", f"log {LOG}", "quorum none"], "here already"),
        ([f"witness a {same_key('a')}", f"witness b {same_key('b')}", "quorum b"], "'b' is here already"),
        ([f"log {str(LOG)[:-4]}", "quorum none"], "line 1 "),
        (["quorum none\r"], "control characters"),
        (["# \x7f", "quorum none"], "control characters"),
        (["# \0", "quorum none"], "control characters"),
    ],
)
def test_what_is_no_policy(lines: list[str], message: str) -> None:
    with pytest.raises(ProofError, match=message):
        policy(*lines)


def test_the_name_of_a_key_is_unicode() -> None:
    with pytest.raises(ProofError, match=r"line 1 .*UTF-8"):
        parse_policy(b"log \xff%b\nquorum none\n" % str(LOG).removeprefix("a").encode())


def test_keys_are_those_that_are_written() -> None:
    assert parse_policy(TWO_LEVELS.encode()).logs[0].key == parse_verifier(str(LOG))


def test_groups_in_groups_are_no_recursion() -> None:
    """A policy of 256 KiB has room for more groups than Python has frames."""
    groups = [f"group g{place} all g{place - 1}" for place in range(1, 5000)]
    found = policy(f"witness g0 {W[0]}", *groups, "quorum g4999")
    assert found.is_met([W[0]])
    assert not found.is_met([])
