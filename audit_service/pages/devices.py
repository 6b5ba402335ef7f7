"""A device in words, from its ``User-Agent``."""

from functools import lru_cache


@lru_cache(maxsize=4096)
def device(user_agent: str | None) -> str:
    """Return browser and system, such as "Firefox · Windows"; what stands before the first "/" for another program.

    "" for none.
    """
    from ua_parser import parse  # noqa: PLC0415 - its rules take a fifth of a second to load

    if not user_agent:
        return ""
    found = parse(user_agent)
    browser = found.user_agent.family if found.user_agent else user_agent.split("/")[0][:40]
    system = found.os.family if found.os else ""
    return f"{browser} · {system}" if system else browser
