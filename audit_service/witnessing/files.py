"""What a witness is given: its secret key, and the policy with the logs that it cosigns."""

from pathlib import Path

from audit_service.errors import ProofError, SettingsError
from audit_service.proofs.keys import Algorithm, SignerKey, check_name, new_key, parse_signer
from audit_service.proofs.policy import Policy, parse_policy
from audit_service.settings.data_folder import make_file, read_secret


def make_key(path: Path, name: str) -> SignerKey:
    """Make the file with a new key, unless there is one, and return its key.

    Raises ``SettingsError`` if it cannot be made or used, or is that of another name; ``ProofError`` for a bad *name*.
    """
    try:
        make_file(path, f"{new_key(check_name(name), Algorithm.COSIGNATURE).text()}\n".encode())
    except OSError as error:
        raise SettingsError(f"the secret key cannot be written to {str(path)!r}: {error.strerror}") from None
    key = read_key(path)
    if key.name != name:
        raise SettingsError(f"the key in {str(path)!r} is that of {key.name}, not of {name}")
    return key


def read_key(path: Path) -> SignerKey:
    """Return the witness's secret key. Raises ``SettingsError``."""
    try:
        key = parse_signer(read_secret(path).strip())
    except (OSError, UnicodeDecodeError, ProofError) as error:
        raise SettingsError(f"the secret key in {str(path)!r} cannot be used: {error}") from None
    if key.algorithm is not Algorithm.COSIGNATURE:
        raise SettingsError(f"the key in {str(path)!r} is that of a log: a witness has one of its own")
    return key


def read_policy(path: Path) -> Policy:
    """Return the policy with the logs that are cosigned. Raises ``SettingsError``."""
    try:
        policy = parse_policy(path.read_bytes())
    except (OSError, ProofError) as error:
        raise SettingsError(f"the policy {str(path)!r} cannot be used: {error}") from None
    if not policy.logs:
        raise SettingsError(f"the policy {str(path)!r} names no log: a line 'log KEY' does")
    return policy
