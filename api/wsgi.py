"""The application that gunicorn runs: made from the environment, in each worker after the fork."""

import structlog

from api.app import App, create_app
from api.services import make_services
from api.settings import Settings, read_settings
from ledger.store.application import Ledger
from ledger.store.database import Database


def make_application(settings: Settings) -> App:
    """The application over the database of the settings. It connects on the first request, not here."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    database = Database(settings.database_url, pool_size=max(5, settings.threads // 2))
    return create_app(make_services(Ledger(database, group_commit=True)))


application = make_application(read_settings())
