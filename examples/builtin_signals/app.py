"""One receiver for each signal that Flask itself sends, and what blinker lets one do with signals of one's own.

The receivers print a line each, so the terminal shows which signals a request sends, in their order.
"""

import gc
from typing import Any

import flask
from blinker import Namespace
from flask import Flask, flash, render_template_string

app = Flask(__name__)
app.secret_key = "flash() keeps its message in the session, which is signed"


def tell(name: str, sender: object, arguments: dict[str, Any]) -> None:
    print(name, sender, *sorted(arguments), flush=True)


# Flask sends each of these with the app as sender. A receiver takes the sender first, the rest by name. It is
# connected weakly: a function of a module lives as long as the module, a function inside a function does not.


@flask.appcontext_pushed.connect
def on_pushed(sender: Flask, **arguments: Any) -> None:
    tell("appcontext_pushed", sender, arguments)


@flask.request_started.connect
def on_started(sender: Flask, **arguments: Any) -> None:
    tell("request_started", sender, arguments)


@flask.message_flashed.connect
def on_flashed(sender: Flask, **arguments: Any) -> None:
    tell("message_flashed", sender, arguments)


@flask.before_render_template.connect
def on_before_render(sender: Flask, **arguments: Any) -> None:
    tell("before_render_template", sender, arguments)


@flask.template_rendered.connect
def on_rendered(sender: Flask, **arguments: Any) -> None:
    tell("template_rendered", sender, arguments)


@flask.got_request_exception.connect
def on_exception(sender: Flask, **arguments: Any) -> None:
    tell("got_request_exception", sender, arguments)


@flask.request_finished.connect
def on_finished(sender: Flask, **arguments: Any) -> None:
    tell("request_finished", sender, arguments)


@flask.request_tearing_down.connect
def on_request_teardown(sender: Flask, **arguments: Any) -> None:
    tell("request_tearing_down", sender, arguments)


@flask.appcontext_tearing_down.connect
def on_context_teardown(sender: Flask, **arguments: Any) -> None:
    tell("appcontext_tearing_down", sender, arguments)


@flask.appcontext_popped.connect
def on_popped(sender: Flask, **arguments: Any) -> None:
    tell("appcontext_popped", sender, arguments)


@app.get("/")
def page() -> str:
    flash("saved")
    return render_template_string("{{ get_flashed_messages()[0] }}\n")


@app.get("/broken")
def broken() -> str:
    raise ValueError("an exception that no handler takes")


@app.get("/handled")
def handled() -> str:
    raise LookupError("an exception that has a handler")


@app.errorhandler(LookupError)
def on_lookup_error(error: LookupError) -> tuple[str, int]:
    return f"{error}\n", 404


# A signal of one's own belongs to a namespace. Its name is what another module finds it by.
signals = Namespace()
cooked = signals.signal("cooked", doc="Sent when a dish is ready. Sender: the cook. Arguments: dish.")


def praise(sender: object, dish: str) -> str:
    return f"{sender} made {dish}"


@app.get("/own")
def own() -> str:
    """Show what ``send`` returns: each receiver that was called, with its answer."""
    lines: list[str] = []

    def send(case: str, *sender: object) -> None:
        answers = [answer for _receiver, answer in cooked.send(*sender, dish="soup")]
        lines.append(f"{case}: {answers}\n")

    send("no receiver", "ada")

    with cooked.connected_to(praise):  # for the time of the block
        send("sent by ada", "ada")
        send("sent without a sender")

    with cooked.connected_to(praise, sender="ada"):  # for one sender only
        send("to a receiver of ada's, by ada", "ada")
        send("to a receiver of ada's, by bob", "bob")
        send("to a receiver of ada's, without a sender")

    def local(sender: object, dish: str) -> str:
        return praise(sender, dish)

    cooked.connect(local)
    send("to a local function", "ada")
    del local
    gc.collect()  # CPython does not need it here; other implementations do
    send("to a local function that is gone", "ada")

    cooked.connect(lambda sender, dish: f"{praise(sender, dish)} at last", weak=False)
    send("to a lambda that the signal holds", "ada")
    for receiver in cooked.receivers_for("ada"):
        cooked.disconnect(receiver)
    return "".join(lines)
