"""The signer's secret key, in a file of its own: one key a line, the current one first.

While the key is changed there are two, and both sign.
"""

from pathlib import Path

from audit_service.errors import ProofError, SettingsError
from audit_service.proofs.keys import SignerKey, new_key, parse_signer
from audit_service.settings.data_folder import make_file, read_secret, replace_file


def read_keys(path: Path) -> list[SignerKey]:
    """Return the keys in the file, the current one first. Raises ``SettingsError``."""
    try:
        keys = [parse_signer(line) for line in read_secret(path).split()]
    except FileNotFoundError:
        raise SettingsError(
            f"there is no secret key in {str(path)!r} (AUDIT_SIGNING_KEY_FILE): 'audit-service trail init' makes one; "
            "if there was one, put it back"
        ) from None
    except (OSError, UnicodeDecodeError, ProofError) as error:
        raise SettingsError(f"the secret key in {str(path)!r} cannot be used: {error}") from None
    if not keys:
        raise SettingsError(f"the file {str(path)!r} holds no key")
    return keys


def make_key(path: Path, origin: str) -> SignerKey:
    """Make the file with a new key for the log *origin*, unless there is one, and return its key.

    Raises ``SettingsError`` if it cannot, or if its key is another log's.
    """
    try:
        make_file(path, f"{new_key(origin).text()}\n".encode())
    except OSError as error:
        raise SettingsError(f"the secret key cannot be written to {str(path)!r}: {error.strerror}") from None
    key = read_keys(path)[0]
    if key.name != origin:
        raise SettingsError(f"the key in {str(path)!r} is that of {key.name}, not of {origin}: move it away")
    return key


def write_keys(path: Path, keys: list[SignerKey]) -> None:
    """Replace the keys in the file. Raises ``OSError``."""
    replace_file(path, "".join(f"{key.text()}\n" for key in keys).encode())
