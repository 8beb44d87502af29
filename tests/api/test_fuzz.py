"""Schemathesis sends what the document allows and what it does not: no answer is a fault of ours."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.house import House, sale

EXAMPLES = 4
LEFT_OUT = ("/metrics",)  # Its counters belong to the process, not to this installation.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def known(house: House) -> dict[str, str]:
    """Ids of things that are there, so that generated requests get past the first look."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    house.referred(program_id)
    account = {"return_url": "https://partners.example.com/"}
    house.post(f"/v1/partners/{partner_id}/payout-account", account)
    conversion = house.post("/v1/conversions", sale(program_id)).json["conversion_id"]
    house.clock.forward(days=1)
    house.catch_up()
    batch = house.post("/v1/payout-batches", {"program_id": program_id}).json
    house.catch_up()
    return {
        "program_id": program_id,
        "partner_id": partner_id,
        "conversion_id": conversion,
        "batch_id": batch["batch_id"],
        "payout_id": batch["payouts"][0]["payout_id"],
        "reward_id": house.get("/v1/rewards").json["items"][0]["reward_id"],
        "customer_id": house.get("/v1/customers").json["items"][0]["customer_id"],
        "agreement_id": house.get("/v1/agreements").json["items"][0]["agreement_id"],
    }


def test_generated_requests_find_no_fault(sqlite_house):
    """Each route, a few times with a fixed seed: no 500, and answers as the document says."""
    ids = known(sqlite_house)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", sqlite_house.client.app)
    headers = {"Authorization": f"Bearer {sqlite_house.admin}"}
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    asked: dict[str, int] = {}

    for operation in operations:
        if operation.path in LEFT_OUT:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _try(operation, mode, ids, headers, asked)

    assert len(asked) > 45
    assert sum(asked.values()) > 200


def _try(
    operation: Any,
    mode: GenerationMode,
    ids: dict[str, str],
    headers: dict[str, str],
    asked: dict[str, int],
) -> None:
    @seed(20260601)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.integers(0, 3))
    def run(case: Any, real: int) -> None:
        if real and case.path_parameters:
            for name in case.path_parameters:
                case.path_parameters[name] = ids.get(name, case.path_parameters[name])
        response = case.call(headers=headers)
        asked[operation.label] = asked.get(operation.label, 0) + 1
        case.validate_response(response, checks=CHECKS)

    try:
        run()
    except Unsatisfiable:  # nothing about this door can be wrong: it takes no input
        assert mode is GenerationMode.NEGATIVE
