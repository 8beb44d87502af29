"""An installation to knock at: the API over a real ledger, with keys, a program, partners and readers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from falcon.testing import Result, TestClient

from api.app import create_app
from api.audit_key import audit_signer
from api.services import make_services
from api.settings import Settings
from ledger.audit.notes import COSIGNATURE, Verifier
from ledger.bank_file import Debtor
from ledger.commands import IssueApiKey
from ledger.engine import RewardEngine
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.connected import AccountsApi
from payouts.gateway import StripeGateway
from projections.runner import Runner
from tests.support.in_process_stripe import ADDRESS, InProcessStripe
from tests.support.webhooks import SECRET

WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
WITNESS = Verifier("witness.example/w1", WITNESS_KEY.public_key().public_bytes_raw(), COSIGNATURE)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SOON = "2026-05-30T09:00:00Z"
TERMS = {
    "language": 1,
    "rules": [{"kinds": ["sale", "renewal"], "reward": {"rate_bps": 2000}}],
    "holding_days": 0,
    "attribution": {"model": "last_touch", "window_days": None},
    "minimum_payout_minor": 1,
}


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: int) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


class House:
    """An installation on a database, its doors opened by a test client; its Stripe is a stand-in within."""

    def __init__(
        self,
        database_url: str,
        accounts_api: AccountsApi = "v1",
        *,
        debtor: Debtor | None = None,
        audit_targets: tuple[str, ...] = (),
    ) -> None:
        self.clock = Clock()
        self.ledger = Ledger(Database(database_url), group_commit=True, clock=self.clock)
        self.stripe = InProcessStripe(clock=lambda: int(self.clock.now.timestamp()))
        self.gateway = StripeGateway(
            "sk_test_in_process",
            ADDRESS,
            accounts_api=accounts_api,
            http_client=self.stripe.http_client(),
        )
        self._folder = TemporaryDirectory()
        settings = Settings(
            stripe_webhook_secrets=(SECRET,),
            debtor=debtor,
            var=Path(self._folder.name),
            audit_witnesses=(str(WITNESS),),
            audit_targets=audit_targets,
        )
        self.signer = audit_signer(settings.audit_key, settings.audit_origin)
        self.services = make_services(self.ledger, settings, self.gateway)
        self.client = TestClient(create_app(self.services))
        self.engine = RewardEngine(self.ledger)
        self.views = Runner(self.ledger)
        self.admin = self.key("admin")
        self.shop = self.key("conversions:write")

    def key(self, *scopes: Any, partner_id: Any = None, person: str | None = None) -> str:
        """A new key's token."""
        command = IssueApiKey(name="test", scopes=scopes, partner_id=partner_id, person=person)
        token = self.services.desk.execute(command, by="cli").secret
        assert token is not None
        return token

    def get(self, path: str, key: str | None = None, **options: Any) -> Result:
        """GET, as admin unless another key is given."""
        return self.send("GET", path, key, **options)

    def post(self, path: str, json: Any = None, key: str | None = None, **options: Any) -> Result:
        """POST a JSON document, as admin unless another key is given."""
        if json is not None:
            options["json"] = json
        return self.send("POST", path, key, **options)

    def send(self, method: str, path: str, key: str | None = None, **options: Any) -> Result:
        """Any request with a key."""
        headers = {"Authorization": f"Bearer {key or self.admin}", **options.pop("headers", {})}
        return self.client.simulate_request(method, path, headers=headers, **options)

    def catch_up(self) -> None:
        """Let the engine and the views read everything."""
        self.engine.drain()
        self.views.catch_up()

    def program(self, reference: str = "acme", *, currency: str = "GBP") -> str:
        """A program's id; its terms give 20%."""
        made = self.post(
            "/v1/programs",
            {
                "reference": reference,
                "name": "Acme",
                "type": "referral_network",
                "currency": currency,
                "landing_url": "https://example.com/hello?a=1",
            },
        )
        assert made.status_code in (200, 201), made.text
        program_id = str(made.json["program_id"])
        terms = {"terms": TERMS, "effective_at": "2020-01-01T00:00:00Z"}
        assert self.post(f"/v1/programs/{program_id}/terms", terms).status_code in (200, 201)
        return program_id

    def partner(self, program_id: str, reference: str = "brightside") -> str:
        """The id of an approved partner with an agreement."""
        made = self.post("/v1/partners", {"reference": reference, "name": reference.title()})
        partner_id = str(made.json["partner_id"])
        assert self.post(f"/v1/partners/{partner_id}/approve", {}).status_code == 200
        agreed = {
            "program_id": program_id,
            "partner_id": partner_id,
            "terms_version": 1,
            "accepted_by": "them",
            "effective_at": "2020-01-01T00:00:00Z",
        }
        assert self.post("/v1/agreements", agreed).status_code in (200, 201)
        return partner_id

    def referred(self, program_id: str, partner: str = "brightside", customer: str = "C-1") -> None:
        """Let a partner bring a customer."""
        told = {
            "program_id": program_id,
            "customer": customer,
            "partner": partner,
            "effective_at": "2026-01-01T00:00:00Z",
        }
        assert self.post("/v1/referrals", told).status_code == 201

    def close(self) -> None:
        """Give everything back."""
        self._folder.cleanup()
        self.ledger.close()


def sale(program_id: str, external_id: str = "INV-1", **changes: Any) -> dict[str, Any]:
    """A sale of 100.00 to C-1."""
    return {
        "kind": "sale",
        "program_id": program_id,
        "source": "shop",
        "external_id": external_id,
        "customer": "C-1",
        "amount_minor": 10_000,
        "currency": "GBP",
        "effective_at": SOON,
        **changes,
    }


def problem(result: Result) -> tuple[int, str]:
    """The status and the type's name of a problem."""
    assert result.headers["content-type"] == "application/problem+json", result.text
    assert result.json["status"] == result.status_code
    assert result.json["title"]
    return result.status_code, result.json["type"].removeprefix("/problems/")


def pointers(result: Result) -> list[str]:
    """The fields that a problem points at."""
    return [error["pointer"] for error in result.json.get("errors", [])]
