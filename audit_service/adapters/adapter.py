"""What an adapter consists of."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response


@dataclass(frozen=True)
class Adapter:
    """The adapter of one library.

    ``is_set_up`` tells whether an app uses the library. ``connect`` connects receivers to the library's signals; it may
    import the library. ``at_start`` and ``at_end`` are called in each request of an app that has the adapter, before
    the view and with the answer. ``needs`` names the adapters that are connected with this one, because they tell which
    user logs in.
    """

    name: str
    is_set_up: Callable[[Flask], bool]
    connect: Callable[[], None] | None = None
    at_start: Callable[[], None] | None = None
    at_end: Callable[[Response], None] | None = None
    needs: tuple[str, ...] = ()
