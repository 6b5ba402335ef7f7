"""Passwords: hashed with argon2id, with the parameters that OWASP's password storage cheat sheet gives first.

argon2 and zxcvbn are imported when the first password is hashed or chosen: most processes never do.
"""

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import normalize

from audit_service.errors import AccountError
from audit_service.values import limits
from audit_service.web.language import gettext

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # without those that look like others
MIN_GUESSES = 1_000_000
ESTIMATED = 20  # characters: what is longer and still easy repeats itself, and zxcvbn would take seconds


def validate_password(password: str, username: str) -> None:
    """Raise ``AccountError`` unless *password* may be used for the account *username*.

    12 to 256 characters, no rule on which; but not the account's own name, and none that is on zxcvbn's lists of the
    most common passwords, or made of their like so that a million guesses find it.
    """
    if not limits.PASSWORD_MIN <= len(password) <= limits.PASSWORD_MAX:
        raise AccountError(
            gettext(
                "a password must have %(least)s to %(most)s characters, this one has %(number)s",
                least=limits.PASSWORD_MIN,
                most=limits.PASSWORD_MAX,
                number=len(password),
            )
        )
    from zxcvbn import zxcvbn  # noqa: PLC0415 - 14 MB

    folded = normalize("NFC", password.casefold())
    if folded == normalize("NFC", username.casefold()):
        raise AccountError(gettext("a password must not be the account's own name"))
    if zxcvbn(folded[:ESTIMATED])["guesses"] < MIN_GUESSES:
        raise AccountError(gettext("this password is among those that are tried first: choose a less common one"))


def make_password() -> str:
    """Return a new password of 99 random bits, in groups that can be read out and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def hash_password(password: str) -> str:
    """Return the hash to store; it names its algorithm and parameters."""
    return _pool(os.getpid()).submit(_hasher().hash, _bytes(password)).result()


def verify_password(password_hash: str | None, password: str) -> bool:
    """Tell whether *password* belongs to the hash. With no hash the answer is no, after the same work."""
    from argon2.exceptions import InvalidHashError, VerifyMismatchError  # noqa: PLC0415

    stand_in = _stand_in()  # made in any case: the first attempt of a process must not tell whether it is needed
    try:
        # An over-long password costs what others cost: no more than this is hashed, and it matches nothing.
        begin = _bytes(password[: limits.PASSWORD_MAX + 1])
        _pool(os.getpid()).submit(_hasher().verify, password_hash or stand_in, begin).result()
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Tell whether the hash was made with other parameters than those in use now."""
    return _hasher().check_needs_rehash(password_hash)


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415

    return PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)  # KiB, passes, lanes


@cache
def _stand_in() -> str:
    """Return the hash that is verified for an account that does not exist."""
    return hash_password("")


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads of this process that hash: a thread keeps the 19 MiB that a hash takes, so there are few of them."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="audit-passwords")


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")  # whatever text arrives, it can be compared
