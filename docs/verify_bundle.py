"""Verify a bundle without audit-service: python3 verify_bundle.py BUNDLE PUBLIC-KEY [CHECKPOINT...]."""

import base64, hashlib, hmac, json, re, sys, tarfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY = b"audit-service/commitment/v1".ljust(32, b"\0")
LINE = re.compile(rb'\{"entry":(\{.*?\}),"openings":(null|\{.*?\}),"where":(null|\{.*\}),"who":(null|\{.*\})\}\n')


def demand(is_so, otherwise):
    return is_so or sys.exit(f"NOT VERIFIED: {otherwise}")


def sha256(data):
    return hashlib.sha256(data).digest()


def open_checkpoint(note, vkey):
    name, key_id, public = demand(vkey.count("+") > 1 and vkey.split("+", 2), "this is no public key of a log")
    key = base64.b64decode(public)
    demand(sha256(name.encode() + b"\n" + key)[:4].hex() == key_id and key[0] == 1, "this is no public key of a log")
    text, _, signatures = note.rpartition(b"\n\n")
    for _, signer, signature in map(str.split, signatures.decode().splitlines()):
        if (signer, (blob := base64.b64decode(signature))[:4].hex()) == (name, key_id):
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[4:], text + b"\n")  # or it raises InvalidSignature
            origin, size, root = text.decode().split("\n")
            demand(origin == name, "a checkpoint is of another log")
            return int(size), base64.b64decode(root)
    demand(None, "a checkpoint is not signed by this key")


def leaf(line, seq, erased):
    entry, openings, where, who = getattr(LINE.fullmatch(line), "groups", lambda: [b"{}"] * 4)()
    event, openings = json.loads(entry), json.loads(openings) or {}
    demand(event.get("seq") == seq, f"event {seq} is not there")
    for group, text in (("where", where), ("who", who)):  # neither is in the entry of one that is declared missing
        message = base64.b64decode(openings.get(group) or "") + group.encode() + b"\0" + text
        given = erased.get((seq, group)) if text == b"null" else hmac.digest(KEY, message, "sha256").hex()
        demand(given == event.get(group), f"'{group}' of event {seq} is not what was signed")
    return sha256(b"\0" + entry)


with tarfile.open(demand(sys.argv[2:], __doc__) and sys.argv[1]) as tar:
    is_whole = json.load(tar.extractfile("manifest.json"))["claims_completeness"]
    demand(is_whole, "this is a part of a history, which 'audit-service verify' verifies, and this script does not")
    size, root = open_checkpoint(tar.extractfile("checkpoint").read(), sys.argv[2])
    roots = dict(open_checkpoint(open(name, "rb").read(), sys.argv[2]) for name in sys.argv[3:])
    demand(roots.setdefault(size, root) == root and max(roots) == size, "you have a newer checkpoint, or another one")
    erased = {(e["seq"], e["group"]): e["commitment"] for e in map(json.loads, tar.extractfile("erasures.jsonl"))}
    edge, seq = [], 0  # edge: the roots of the full subtrees, the largest first, one for each bit of seq that is set
    for seq, line in enumerate(tar.extractfile("events.jsonl"), 1):
        node = leaf(line, seq, erased)
        for _ in range((seq & -seq).bit_length() - 1):
            node = sha256(b"\1" + edge.pop() + node)
        edge.append(node)
        for left in reversed(edge[:-1]) if seq in roots else ():
            node = sha256(b"\1" + left + node)
        demand(roots.pop(seq, node) == node, f"the first {seq} events are not those that were signed")
    demand(seq == size and not roots, f"there are {seq} events, and {size} were signed")
print(f"{size} events are those that were signed, all of them and unchanged")
