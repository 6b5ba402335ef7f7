"""What docs/proofs.md says about the verifier."""

import re

from audit_service.verifying.findings import Code, Weight
from tests.support.documents import section

HEADS = {"Something was changed": Weight.TAMPERED, "Something is not proven": Weight.UNPROVEN, "Notes": Weight.NOTE}


def test_each_finding_is_explained_below_what_it_means() -> None:
    text = section("docs/proofs.md", "What verify finds")
    parts = re.split(r"^\*\*([^*:]+):?\*\*", text, flags=re.MULTILINE)[1:]
    told: dict[str, Weight] = {}
    for head, part in zip(parts[::2], parts[1::2], strict=True):
        named = re.findall(r"^\| (`.+?) \|", part, re.MULTILINE) or re.findall(r"`\w+` \(", part)
        told |= {code: HEADS[head] for each in named for code in re.findall(r"`(\w+)`", each)}
    assert told == {code.value: code.weight for code in Code}
