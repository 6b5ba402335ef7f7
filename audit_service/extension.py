"""``LoginAudit``: the trail and its API in any Flask app."""

import os
import shutil
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
from flask import Flask, Request, current_app
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from audit_service import api
from audit_service.adapters import celery_jobs, finding, flask_login
from audit_service.cli.app_commands import audit
from audit_service.context import EXTENSION, AuditContext, Viewer, context_of, current_context, end_reading
from audit_service.errors import INSTALL_PAGES, AuditUnavailable, NotConfiguredError
from audit_service.events.base import NewEvent
from audit_service.operations import signals
from audit_service.operations.host_migrations import migration_fault
from audit_service.receivers import record_error
from audit_service.seams import Seams
from audit_service.settings.host import host_settings, is_short_lived, own_databases
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine, make_writer, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.trail.counters import Counters
from audit_service.trail.login_log import LoginLog
from audit_service.trail.looks import Accesses
from audit_service.trail.recorder import Recorder
from audit_service.trail.repeats import Repeats
from audit_service.trail.shared_file import SharedFile
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.web.addresses import require_own_addresses
from audit_service.web.answers import problem

API = "/api"


class LoginAudit:
    """Puts the trail into a Flask app: events of its login view and its unhandled exceptions, and the JSON API.

    ``settings.host`` says where the trail is kept. Nothing of the app's own database, session or engine is used or
    changed. Run the migrations first: ``flask audit migrate``.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        url: str | URL | None = None,
        engine: Engine | None = None,
        api: str | None = API,
        log: str | None = None,
        pages: str | None = None,
        frame: str | None = None,
        session_viewer: Callable[[], Viewer | None] | None = None,
        identify: Callable[[Request], str | None] | None = None,
        transform: Callable[[NewEvent], NewEvent] | None = None,
        exclude: Callable[[NewEvent], bool] | None = None,
        adapters: Sequence[str] | None = None,
    ) -> None:
        """Keep the trail in the database that *url* names, by default in the one that ``settings.host`` chooses.

        *engine* is the app's own, for an app that has neither Flask-SQLAlchemy nor Flask-SQLAlchemy-Lite. *api* is
        where the API's addresses begin; None leaves it out. *log* is where those of the log's files begin, which come
        with the API; by default ``/trail`` below it. *pages* is where those of the pages begin, such as ``/audit``; by
        default there are none. They are shown in the template *frame* of the app, which has a block ``main``, or in one
        of their own. *session_viewer* returns the reader who is logged in to the current request's session, or None;
        without it only tokens open the API. ``seams.Seams`` explains *identify*, *transform* and *exclude*. *adapters*
        names those to use; None is those of all libraries that are set up.

        Raises ``NotConfiguredError`` for an adapter that does not exist and a path that is none, and as ``init_app``
        does if *app* is given.
        """
        self._url = url
        self._engine = engine
        self._api = api
        self._log = log
        self._pages = pages
        self._frame = frame
        self._session_viewer = session_viewer
        self._seams = Seams(identify or flask_login.identify, transform, exclude)
        self._adapters = adapters
        finding.check_names(adapters or ())
        for name, path, example in (
            ("api", api, "/audit/api"),
            ("log", log, "/audit/trail"),
            ("pages", pages, "/audit"),
        ):
            if path and (not path.startswith("/") or "<" in path):
                raise NotConfiguredError(f"{name} must be a path such as '{example}', or None, not {path!r}")
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, settings: Settings | None = None, reader: Engine | None = None) -> None:
        """Set up *app*; the service brings *settings* and an engine to read through.

        Raises ``NotConfiguredError`` at a second call and for an address of ours that the app has already,
        ``SettingsError`` for bad settings.
        """
        if EXTENSION in app.extensions:
            raise NotConfiguredError(f"the Flask app {app.name!r} has an audit trail already")
        is_host = settings is None
        settings = settings or host_settings(app, url=self._url, own=self._engine.url if self._engine else None)
        if settings.spool_path or settings.is_embedded:
            settings.make_data_dir()
        recorder = Recorder(
            settings.url,
            spool_path=settings.spool_path,
            timeout=settings.write_timeout,
            queue_limit=settings.queue_limit,
        )
        reader = reader or make_engine(settings.url, patience=settings.write_timeout)
        app_name = settings.app_name or clean(app.name, limits.APP)
        app.extensions[EXTENSION] = AuditContext(
            settings=settings,
            recorder=recorder,
            accesses=Accesses(),
            repeats=Repeats(recorder, app_name),
            reader=reader,
            writer=make_writer(reader),
            app_name=app_name,
            login_log=LoginLog(Path(settings.login_log)) if settings.login_log else None,
            session_viewer=self._session_viewer,
            seams=self._seams,
            shared_file=_shared_file(app, settings) if is_host else None,
        )
        celery_jobs.connect(app)
        # Not only with the first request: before-request functions of the app may run before ours, and log a user in.
        context_of(app).adapters.update(finding.connect(app, self._adapters, is_complete=False))
        app.before_request(partial(_start, self._adapters, own_databases(app), set()))
        app.after_request(finding.end_request)
        app.teardown_appcontext(end_reading)
        if self._api is not None:
            app.register_blueprint(api.blueprint, url_prefix=self._api)
            app.register_blueprint(api.log_blueprint, url_prefix=self._log or f"{self._api.rstrip('/')}/trail")
        if self._pages is not None:
            _add_pages(app, self._pages, self._frame)
        require_own_addresses(app)
        signals.trace(app)
        if settings.unavailable == "allow":
            app.logger.warning("logins go on when they cannot be recorded, and are then lost (AUDIT_UNAVAILABLE=allow)")
        app.register_error_handler(AuditUnavailable, problem)  # 503: the app may register its own instead
        if is_host:
            app.cli.add_command(audit)
            _prepare_database(app)

    record_error = staticmethod(record_error)

    @staticmethod
    def counters(app: Flask) -> Counters:
        """Return what became of the events of *app* in this process since it started.

        Raises ``NotConfiguredError`` if the app has no trail.
        """
        return context_of(app).recorder.counters

    @staticmethod
    def close(app: Flask) -> None:
        """Store what is queued, end the threads, and close the connections that ``init_app`` gave to *app*.

        A process that ends needs no call; tests, and programs that make many apps, do. An event or a request that comes
        later opens all of it again. Raises ``NotConfiguredError`` if the app has no trail.
        """
        context = context_of(app)
        context.recorder.stop()
        context.reader.dispose()
        context.writer.dispose()
        if context.login_log:
            context.login_log.close()


def _add_pages(app: Flask, prefix: str, frame: str | None) -> None:
    """Let *app* show the pages, below *prefix*. Raises ``ModuleNotFoundError`` without the extra ``pages``."""
    try:
        from audit_service import pages  # noqa: PLC0415 - its libraries are an extra
        from audit_service.web import frame as frames  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the pages need {error.name}: {INSTALL_PAGES}", name=error.name) from None
    if frame:
        app.extensions[frames.FRAME] = frame
    app.register_blueprint(frames.blueprint, url_prefix=prefix or None)
    app.register_blueprint(pages.blueprint, url_prefix=prefix or None)


def _start(adapters: Sequence[str] | None, databases: list[URL], begun: set[int]) -> None:
    """Connect the *adapters* and start the recorder with a process's first request; *begun* has the processes' ids.

    By then the app is complete; and events in the spool need no login to be moved into the trail. An error is logged if
    the app's databases are not the *databases* that it had when the trail was set up, or if its migrations would drop
    the trail.
    """
    context = current_context()
    if os.getpid() not in begun:  # the recorder may run already: an event can come before the first request
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
        require_own_addresses(app)
        context.adapters.update(finding.connect(app, adapters, is_complete=True))
        signals.trace(app)  # those of modules that were imported meanwhile, too
        if own_databases(app) != databases:
            app.logger.error(
                "the app's database was named after LoginAudit(app): the trail is at %s all the same. Name it before, "
                "or say where the trail is: LoginAudit(app, url=…)",
                context.recorder.identity.target,
            )
        if fault := migration_fault(app):
            app.logger.error(fault)
        begun.add(os.getpid())
    context.recorder.start()
    finding.start_request()


def _shared_file(app: Flask, settings: Settings) -> SharedFile | None:
    """Return what watches the waits for the trail's file, if the app itself writes to it."""
    if settings.url not in (url.set(drivername="sqlite") for url in own_databases(app) if is_sqlite(url)):
        return None
    return SharedFile(sqlite_path(settings.url), settings.write_timeout / 2)


def _prepare_database(app: Flask) -> None:
    """Make the tables of a temporary database; log an error if another one is not migrated."""
    from audit_service.storage import schema  # noqa: PLC0415 - Alembic

    audit = context_of(app)
    url = audit.settings.url
    if is_short_lived(app):
        schema.copy_template(sqlite_path(url))
        weakref.finalize(app, _throw_away, audit.recorder, audit.settings.data_path, os.getpid())
    elif _is_serving() and (fault := schema.fault_at(url)):
        app.logger.error("the audit trail of %r at %s: %s", app.name, audit.recorder.identity.target, fault)


def _throw_away(recorder: Recorder, folder: Path, owner: int) -> None:
    """End the threads of an app that is gone, and remove its temporary folder; not in a fork of its *owner*'s process.

    A fork shares the folder with the process that has made the app.
    """
    if threading.current_thread().name.startswith("audit-"):  # one of these has found that it is gone, and cannot wait
        threading.Thread(target=_throw_away, args=(recorder, folder, owner)).start()
        return
    recorder.stop()
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _is_serving() -> bool:
    """Tell whether the app is made to answer requests, not for a command such as the one that migrates."""
    command = click.get_current_context(silent=True)
    return command is None or command.info_name == "run"
