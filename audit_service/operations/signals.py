"""The signals of the running process: a list with their receivers, and a log of each that is sent."""

import logging
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

from blinker import ANY, NamedSignal, Namespace
from flask import Flask
from flask.logging import default_handler, has_level_handler

from audit_service.context import EXTENSION, context_of

trace_logger = logging.getLogger("audit_service.signals")
_tracers: dict[int, "_Tracer"] = {}


@dataclass(frozen=True)
class Found:
    """A signal, and the module that keeps it."""

    module: str
    name: str
    signal: NamedSignal


def find_signals() -> list[Found]:
    """Return the signals that imported modules keep, alone or in a ``Namespace``, in the order of module and name.

    One that several modules keep is that of the module with its namespace, else of the first by name. What is kept in
    an object or a function only is not found.
    """
    found: dict[int, Found] = {}
    modules = sorted((name, module) for name, module in list(sys.modules.items()) if type(module) is ModuleType)
    for signals_of in (_in_namespaces, _alone):
        for name, module in modules:
            for signal in signals_of(module):
                found.setdefault(id(signal), Found(name, signal.name, signal))
    return sorted(found.values(), key=lambda each: (each.module, each.name))


def _in_namespaces(module: ModuleType) -> Iterator[NamedSignal]:
    for value in list(vars(module).values()):
        if issubclass(type(value), Namespace):  # isinstance would ask a proxy for what is behind it
            yield from list(value.values())


def _alone(module: ModuleType) -> Iterator[NamedSignal]:
    return (value for value in list(vars(module).values()) if issubclass(type(value), NamedSignal))


def receivers_of(signal: NamedSignal, app: Flask) -> list[str]:
    """Return the names of the receivers of a signal; of those for one sender also whether it is *app*."""
    of_all, of_app = list(signal.receivers_for(ANY)), list(signal.receivers_for(app))
    held = [_alive(each) for each in list(signal.receivers.values())]
    return sorted(
        _name_of(receiver)
        + ("" if receiver in of_all else " (of this app)" if receiver in of_app else " (of another sender)")
        for receiver in held
        if receiver is not None and not isinstance(receiver, _Tracer)
    )


def trace(app: Flask) -> None:
    """Log each signal that is sent from now on, if the settings of *app* say so; may be called again for new modules.

    A signal with asynchronous receivers is left out: ``send_async`` refuses a synchronous receiver such as the tracer.
    """
    if not _is_traced(app):
        return
    if trace_logger.level == logging.NOTSET:
        trace_logger.setLevel(logging.INFO)
    if not has_level_handler(trace_logger):
        trace_logger.addHandler(default_handler)
    for found in find_signals():
        receivers = [_alive(each) for each in list(found.signal.receivers.values())]
        if id(found.signal) not in _tracers and not any(iscoroutinefunction(receiver) for receiver in receivers):
            tracer = _tracers[id(found.signal)] = _Tracer(found)
            found.signal.connect(tracer, weak=False)


@dataclass(frozen=True, eq=False)
class _Tracer:
    """Receives a signal and logs its name, its sender and the names of its arguments; never a value."""

    found: Found

    def __call__(self, sender: object, **arguments: object) -> None:
        if isinstance(sender, Flask) and not _is_traced(sender):
            return
        shown = sender if sender is None or isinstance(sender, Flask) else f"a {type(sender).__qualname__}"
        names = ", ".join(sorted(arguments)) or "no arguments"
        trace_logger.info("%s %s from %s: %s", self.found.module, self.found.name, shown, names)


def _is_traced(app: Flask) -> bool:
    return EXTENSION in app.extensions and context_of(app).settings.trace_signals == "on"


def _alive(held: Any) -> Any:
    """Return the receiver that a signal holds, perhaps weakly; None if it is gone."""
    return held() if isinstance(held, weakref.ref) else held


def _name_of(receiver: Any) -> str:
    function = getattr(receiver, "func", receiver)  # of a functools.partial
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', '?')}.{name}"
