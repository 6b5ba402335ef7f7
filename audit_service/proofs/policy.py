"""Whom to believe (C2SP tlog-policy): logs by their keys, witnesses by theirs, and how many of them must agree."""

from collections.abc import Collection

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.keys import Algorithm, VerifierKey, parse_verifier
from audit_service.proofs.strict import parse_number

LARGEST = 1 << 18  # bytes of a policy that is read from somewhere else
NONE = "none"  # the quorum that needs no witness


class Party(msgspec.Struct, frozen=True):
    """A log or a witness: its key, and where it is reached, if the policy says so."""

    key: VerifierKey
    url: str | None


class Group(msgspec.Struct, frozen=True):
    """Witnesses and groups by their names in the policy; enough of them stand for all."""

    least: int
    members: list[str]


class Policy(msgspec.Struct, frozen=True):
    """What a policy file says. The names of witnesses and groups have a meaning in it alone."""

    logs: list[Party]
    witnesses: dict[str, Party]
    groups: dict[str, Group]
    quorum: str | None

    def log_keys(self, origin: str) -> list[VerifierKey]:
        """Return the keys that may sign for the log *origin*."""
        return [log.key for log in self.logs if log.key.name == origin]

    def is_met(self, cosigners: Collection[VerifierKey]) -> bool:
        """Return whether these *cosigners* are enough."""
        agreeing = {name for name, witness in self.witnesses.items() if witness.key in cosigners}
        for name, group in self.groups.items():  # each after its members
            if len(agreeing.intersection(group.members)) >= group.least:
                agreeing.add(name)
        return self.quorum is None or self.quorum in agreeing


def parse_policy(data: bytes) -> Policy:
    """Return the policy that a file's content is. Raises ``ProofError``, which names the line."""
    if any((each < 0x20 and each not in b"\t\n") or each == 0x7F for each in data):  # noqa: PLR2004
        raise ProofError("a policy has no control characters but tab and newline")
    parser = _Parser()
    # Names need not be Unicode. Lines end with a newline, and with nothing else that Python takes for the end of one.
    for place, line in enumerate(data.decode(errors="surrogateescape").split("\n"), 1):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            parser.take(words)
        except ProofError as error:
            raise ProofError(f"line {place} of the policy: {error}") from None
    if not parser.has_quorum:
        raise ProofError("a policy has a line 'quorum NAME'; 'quorum none' needs no witness")
    return parser.policy()


class _Parser:
    """What the lines up to now have said."""

    def __init__(self) -> None:
        self._logs: list[Party] = []
        self._witnesses: dict[str, Party] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None
        self.has_quorum = False

    def policy(self) -> Policy:
        return Policy(self._logs, self._witnesses, self._groups, self._quorum)

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) <= 1:
                self._logs.append(_party(key, url, Algorithm.ED25519, self._logs))
            case ["witness", name, key, *url] if len(url) <= 1:
                self._check_new(name)
                self._witnesses[name] = _party(key, url, Algorithm.COSIGNATURE, self._witnesses.values())
            case ["group", name, least, *members] if members:
                self._check_new(name)
                self._groups[name] = self._group(least, members)
            case ["quorum", name]:
                if self.has_quorum:
                    raise ProofError("there is a quorum already")
                if name != NONE:
                    self._check_known(name)
                    self._quorum = name
                self.has_quorum = True
            case _:
                raise ProofError(
                    "a line is 'log KEY [URL]', 'witness NAME KEY [URL]', 'group NAME all|any|NUMBER NAME...' or "
                    f"'quorum NAME', not {' '.join(words)[:80]!r}"
                )

    def _group(self, least: str, members: list[str]) -> Group:
        for name in members:
            self._check_known(name)
            if name in self._members:
                raise ProofError(f"{name!r} is a member already, and can be one only once")
            self._members.add(name)
        count = {"all": len(members), "any": 1}.get(least)
        if count is None:
            count = parse_number(least)
        if not 1 <= count <= len(members):
            raise ProofError(f"{least} of {len(members)} members cannot be")
        return Group(count, members)

    def _check_new(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise ProofError(f"{name!r} has a meaning already")

    def _check_known(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise ProofError(f"no line before this one says what {name!r} is")


def _party(text: str, url: list[str], algorithm: Algorithm, others: Collection[Party]) -> Party:
    key = parse_verifier(text)
    if key.algorithm is not algorithm:
        what = "logs have the kind 01" if algorithm is Algorithm.ED25519 else "witnesses have the kind 04"
        raise ProofError(f"the key of {key.name!r} has the kind {key.algorithm:02x}, and those of {what}")
    if any(other.key.public == key.public for other in others):
        raise ProofError(f"the key of {key.name!r} is here already")
    return Party(key, url[0] if url else None)
