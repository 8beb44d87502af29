"""The gate over HTTP: freeze, thaw, take in; a second time is the same."""

from tests.api.house import problem

PATH = "/v1/payout-gate"


def test_payouts_are_frozen_and_thawed(house):
    """With a reason that everybody reads; without one it is refused."""
    opened = house.get(PATH).json
    frozen = house.post(f"{PATH}/freeze", {"reason": "Odd traffic."})
    same = house.post(f"{PATH}/freeze", {"reason": "Odd traffic."})
    seen = house.get(PATH, house.key("finance:read")).json
    thawed = house.post(f"{PATH}/thaw", {"reason": "All is well."})

    assert opened["is_open"] is True
    assert frozen.json == same.json == seen
    assert (seen["is_open"], seen["frozen_reason"]) == (False, "Odd traffic.")
    assert thawed.json == opened
    assert problem(house.post(f"{PATH}/freeze", {})) == (422, "invalid-field")


def test_what_the_provider_does_not_hold_is_not_taken_in(sqlite_house):
    """There is no such transfer, or it is none of ours."""
    wish = {"transfer_id": "tr_1", "reason": "Restored."}

    assert problem(sqlite_house.post(f"{PATH}/take-in", wish)) == (422, "not-found")
