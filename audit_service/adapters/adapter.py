"""What an adapter is: how it finds its library on an app, and how it learns what the library does."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response


@dataclass(frozen=True)
class Adapter:
    """One library's.

    ``is_set_up`` tells whether an app uses the library. ``connect`` connects receivers to the library's signals; it may
    import the library. ``at_start`` and ``at_end`` are called in each request of an app that has the adapter, before
    its view and with its answer. ``needs`` are the adapters without which this one does not know everything.
    """

    name: str
    is_set_up: Callable[[Flask], bool]
    connect: Callable[[], None] | None = None
    at_start: Callable[[], None] | None = None
    at_end: Callable[[Response], None] | None = None
    needs: tuple[str, ...] = ()
