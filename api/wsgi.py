"""The application that gunicorn runs: made from the environment, in each worker after the fork."""

import logging
from typing import Any, Final

import msgspec
import structlog

from api.app import App, create_app
from api.services import make_services
from api.settings import Settings, read_settings
from ledger.store.application import Ledger
from ledger.store.database import Database

_encoder: Final = msgspec.json.Encoder(enc_hook=str)


def make_application(settings: Settings) -> App:
    """The application over the database of the settings. It connects on the first request, not here."""
    _configure_log()
    database = Database(settings.database_url, pool_size=max(5, settings.threads // 2))
    return create_app(make_services(Ledger(database, group_commit=True), settings))


def _configure_log() -> None:
    """One JSON document a line, on standard output."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _to_json(event: Any, **_options: Any) -> bytes:
    return _encoder.encode(event)


application = make_application(read_settings())
