"""Settings from the environment, checked once at the start; a mistake names its variable."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast, get_args

from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from api.audit_key import FILE as AUDIT_KEY
from api.kept import standin_webhook_secret
from ledger import bank_account, iban
from ledger.audit.notes import COSIGNATURE, BadNote, Verifier, parse_verifier
from ledger.bank_file import Debtor
from ledger.refusals import InvalidField
from ledger.sepa_text import latin
from ledger.store.database import engine_url
from payouts.connected import AccountsApi
from payouts.pacing import LIVE_PER_S, TEST_PER_S
from projections.targets import ADDRESS, MailServer, Target, parse_mail_server, parse_target

WORKERS_MAX: Final = 64
STANDIN_KEY: Final = "sk_test_standin"
"""Stands for a Stripe key where none is given: the key of the stand-in that `revshare up` starts."""


class InvalidSettings(Exception):
    """The environment has mistakes; `mistakes` maps each variable to what is wrong with it."""

    def __init__(self, mistakes: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(said)}" for name, said in sorted(mistakes.items())))
        self.mistakes = {name: list(said) for name, said in mistakes.items()}


@dataclass(frozen=True)
class Settings:
    """How this installation runs. The defaults let a first start need nothing."""

    database_url: str = "sqlite:///var/revshare.db"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 2
    threads: int = 32
    pin_workers: bool = True
    stripe_api_key: str = STANDIN_KEY
    stripe_api_base: str | None = None
    stripe_webhook_secrets: tuple[str, ...] = ()
    stripe_accounts_api: AccountsApi = "auto"
    onboarding_return_url: str | None = None
    simulator_port: int = 12111
    payout_requests_per_s: int = 0
    payout_concurrency: int = 8
    debtor: Debtor | None = None
    audit_key_file: Path | None = None
    audit_origin: str | None = None
    audit_targets: tuple[str, ...] = ()
    audit_witnesses: tuple[str, ...] = ()
    audit_interval_s: int = 60
    smtp_url: str | None = None
    smtp_sender: str | None = None
    var: Path = Path("var")

    @property
    def uses_standin(self) -> bool:
        """Whether money goes to the Stripe stand-in, because no key was given."""
        return self.stripe_api_key == STANDIN_KEY

    @property
    def audit_key(self) -> Path:
        """The file of the key that signs checkpoints; the installation makes its own where none is given."""
        return self.audit_key_file or self.var / AUDIT_KEY

    @property
    def checkpoint_targets(self) -> tuple[Target, ...]:
        """Where checkpoints are kept: where none is said, in a folder that a person can copy from."""
        texts = self.audit_targets or (f"file:{self.var / 'checkpoints'}",)
        targets = tuple(parse_target(text, self.mail_server) for text in texts)
        names = [target.name for target in targets]
        for name in names:
            if names.count(name) > 1:  # one would be taken for the other, and get nothing
                raise ValueError(
                    f"two targets are called {name}: only what is behind the ? differs, if at all"
                )
        return targets

    @property
    def mail_server(self) -> MailServer | None:
        """By which server messages go out; None: nobody has said which."""
        if self.smtp_url is None or self.smtp_sender is None:
            return None
        return parse_mail_server(self.smtp_url, self.smtp_sender)

    @property
    def witnesses(self) -> tuple[Verifier, ...]:
        """Whose signatures below a checkpoint are taken."""
        return tuple(map(parse_verifier, self.audit_witnesses))

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """What a webhook may be signed with: several while one takes the place of another.

        That of the stand-in is kept in `var`, and made when it is asked for first.
        """
        if not self.stripe_webhook_secrets and self.uses_standin:
            return (standin_webhook_secret(self.var),)
        return self.stripe_webhook_secrets

    @property
    def stripe_base(self) -> str | None:
        """Where Stripe's requests go: the address given, else the stand-in's, else (None) Stripe itself."""
        if self.stripe_api_base is None and self.uses_standin:
            return f"http://127.0.0.1:{self.simulator_port}"
        return self.stripe_api_base

    @property
    def stripe_per_s(self) -> int | None:
        """How many requests a second each endpoint of Stripe gets: what was set, else Stripe's own limits."""
        if self.payout_requests_per_s:
            return self.payout_requests_per_s
        if self.stripe_base is not None:
            return None  # a stand-in takes what it can
        return TEST_PER_S if self.stripe_api_key.startswith(("sk_test_", "rk_test_")) else LIVE_PER_S

    @property
    def base_url(self) -> str:
        """Where this machine reaches the API."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def read_settings() -> Settings:
    """The settings that the environment asks for. Raises InvalidSettings, which names every mistake."""
    env = Env(eager=False)
    standard = Settings()
    port = Range(1, 65_535)
    bank_name = env.str("PAYOUT_BANK_NAME", None, validate=_taken(bank_account.holder_name))
    bank_iban = env.str("PAYOUT_BANK_IBAN", None, validate=_taken(_own_iban))
    bank_bic = env.str("PAYOUT_BANK_BIC", None, validate=_taken(bank_account.bic))
    settings = Settings(
        database_url=env.str("DATABASE_URL", standard.database_url, validate=_database_url),
        host=env.str("HOST", standard.host, validate=Length(min=1)),
        port=env.int("PORT", standard.port, validate=port),
        workers=env.int("WORKERS", standard.workers, validate=Range(1, WORKERS_MAX)),
        threads=env.int("THREADS", standard.threads, validate=Range(1, 256)),
        pin_workers=env.bool("PIN_WORKERS", standard.pin_workers),
        stripe_api_key=env.str("STRIPE_API_KEY", standard.stripe_api_key, validate=_stripe_key),
        stripe_api_base=env.str("STRIPE_API_BASE", None, validate=_web_address),
        stripe_webhook_secrets=_listed(env.str("STRIPE_WEBHOOK_SECRET", "", validate=_webhook_secrets)),
        stripe_accounts_api=cast(
            AccountsApi,
            env.str(
                "STRIPE_ACCOUNTS_API", standard.stripe_accounts_api, validate=OneOf(get_args(AccountsApi))
            ),
        ),
        onboarding_return_url=env.str("ONBOARDING_RETURN_URL", None, validate=_web_address),
        simulator_port=env.int("SIMULATOR_PORT", standard.simulator_port, validate=port),
        payout_requests_per_s=env.int("PAYOUT_REQUESTS_PER_S", 0, validate=Range(0, 10_000)),
        payout_concurrency=env.int("PAYOUT_CONCURRENCY", standard.payout_concurrency, validate=Range(1, 64)),
        audit_key_file=env.path("AUDIT_KEY_FILE", None),
        audit_origin=env.str("AUDIT_ORIGIN", None, validate=_origin),
        audit_targets=_listed(env.str("AUDIT_TARGETS", "", validate=_targets)),
        audit_witnesses=_listed(env.str("AUDIT_WITNESSES", "", validate=_witnesses)),
        audit_interval_s=env.int("AUDIT_INTERVAL_S", standard.audit_interval_s, validate=Range(1, 86_400)),
        smtp_url=env.str("SMTP_URL", None, validate=_smtp_url),
        smtp_sender=env.str("SMTP_SENDER", None, validate=_sender),
        var=env.path("VAR_DIR", standard.var),
    )
    try:
        env.seal()
    except EnvValidationError as error:
        mistakes: Any = error.error_messages
        raise InvalidSettings(mistakes) from None
    _check_mail(settings)
    return replace(settings, debtor=_debtor(bank_name, bank_iban, bank_bic))


def _check_mail(settings: Settings) -> None:
    """Messages need a server and a sender; neither is of use alone. Raises InvalidSettings."""
    if (settings.smtp_url is None) != (settings.smtp_sender is None):
        missing = "SMTP_URL" if settings.smtp_url is None else "SMTP_SENDER"
        raise InvalidSettings({missing: ["goes with the other one: set both, or neither"]})
    try:
        _ = settings.checkpoint_targets
    except ValueError as error:
        raise InvalidSettings({"AUDIT_TARGETS": [str(error)]}) from None


def _debtor(name: str | None, own: str | None, bic: str | None) -> Debtor | None:
    """Our own bank account that pays partners off Stripe; None: nobody has said which."""
    if name is None and own is None:
        return None
    if name is None or own is None:
        missing = "PAYOUT_BANK_NAME" if name is None else "PAYOUT_BANK_IBAN"
        raise InvalidSettings({missing: ["goes with the other one: set both, or neither"]})
    written = None if bic is None else bank_account.bic(bic, "")
    return Debtor(latin(name) or "", _own_iban(own, ""), written)


def _own_iban(value: str, pointer: str) -> str:
    return iban.within_sepa(iban.checked(value, pointer), pointer)


def _taken(check: Callable[[str, str], object]) -> Callable[[str | None], None]:
    """A check of the ledger's as one of a setting that may be missing."""

    def validate(value: str | None) -> None:
        try:
            _ = value is None or check(value, "")
        except InvalidField as wrong:
            raise ValidationError(wrong.message) from None

    return validate


def _database_url(value: str) -> None:
    try:
        engine_url(value)
    except Exception:
        # The value itself stays out of the message: it may hold a password.
        raise ValidationError("must be sqlite:///PATH or postgresql://USER@HOST/NAME") from None


def _stripe_key(value: str) -> None:
    if not value.startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        raise ValidationError("must be a secret or restricted key of Stripe (sk_… or rk_…)")


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _webhook_secrets(value: str) -> None:
    if not all(secret.startswith("whsec_") and len(secret) > len("whsec_") for secret in _listed(value)):
        raise ValidationError("must be signing secrets of Stripe (whsec_…), separated by commas")


def _web_address(value: str | None) -> None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValidationError("must begin with http:// or https://")


def _origin(value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[^\s+]{1,200}", value):
        raise ValidationError("must be a name without spaces and plus signs, as ledger.example.com/log")


def _smtp_url(value: str | None) -> None:
    try:
        _ = value is None or parse_mail_server(value, "")
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _sender(value: str | None) -> None:
    if value is not None and not ADDRESS.fullmatch(value):
        raise ValidationError("must be an e-mail address, as ledger@example.com")


_ANY_SERVER: Final = MailServer("localhost", 25, "none", "")


def _targets(value: str) -> None:
    for text in _listed(value):
        try:
            parse_target(text, _ANY_SERVER)  # whether there is one is asked once all is read
        except ValueError as error:
            raise ValidationError(str(error)) from None


def _witnesses(value: str) -> None:
    for text in _listed(value):
        try:
            if parse_verifier(text).kind != COSIGNATURE:
                raise BadNote("it is a log's key")
        except BadNote as error:
            raise ValidationError(f"must be verifier keys of witnesses: {error}") from None
