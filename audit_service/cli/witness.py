"""The command that is a witness of others' logs."""

from functools import partial
from pathlib import Path

import click

from audit_service.cli.server import free_address
from audit_service.cli.text import TEXT
from audit_service.witnessing.files import make_key, read_policy
from audit_service.witnessing.memory import Memory

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--key-file", type=FILE, required=True, help="Its secret key; made if there is none.")
@click.option("--name", type=TEXT, required=True, help="The name of its key, such as 'witness.example.org/audit'.")
@click.option("--policy", type=FILE, required=True, help="A policy (C2SP tlog-policy) whose logs it cosigns.")
@click.option("--listen", type=TEXT, metavar="HOST:PORT", required=True, help="Where it serves plain HTTP.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), required=True, help="What it remembers.")
def witness(key_file: Path, name: str, policy: Path, listen: str, state: Path) -> None:
    """Cosign checkpoints of the logs of others, so that these cannot take them back (C2SP tlog-witness).

    It needs no database. Its folder of --state must not be restored from a backup: it is what makes it a witness.
    """
    from audit_service.serving.server import make_server  # noqa: PLC0415 - granian: other commands do not need it
    from audit_service.witnessing.server import THREADS, load_gateway  # noqa: PLC0415

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004
        raise click.BadParameter(f"{listen!r} is no HOST:PORT", param_hint="--listen")
    address = free_address(host.strip("[]"), int(port), "--listen")
    read_policy(policy)  # what is wrong is said here, once
    Memory(state)
    key = make_key(key_file, name)
    click.echo(f"the witness's public key is\n\n  {key.verifier}\n\nserving on http://{listen} (Ctrl-C stops)")
    server = make_server("audit_service.witnessing.server", address, int(port), workers=1, threads=THREADS)
    files = (key_file.absolute(), policy.absolute(), state.absolute())
    server.serve(target_loader=partial(load_gateway, *files))  # type: ignore[arg-type]
