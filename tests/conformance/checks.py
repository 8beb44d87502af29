"""What is asked, and what the answer has to be. Each check makes its own objects, moving nothing for good."""

import uuid
from collections.abc import Callable
from typing import Any

import stripe

Check = Callable[["Company"], None]
LABEL = "revshare-conformance"


class Company:
    """A platform in test mode, and an account of it that may receive transfers, where there is one."""

    def __init__(self, client: stripe.StripeClient, destination: str | None) -> None:
        self.client, self.destination = client, destination

    def account(self, key: str | None = None, **params: Any) -> stripe.Account:
        """A new Express account that nobody has onboarded."""
        given: Any = {
            "type": "express",
            "country": "US",
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"made_by": LABEL},
            **params,
        }
        return self.client.v1.accounts.create(given, {"idempotency_key": key or str(uuid.uuid4())})

    def transfer(self, destination: str, key: str | None = None, **params: Any) -> stripe.Transfer:
        """A transfer of 1.00 US dollar."""
        given: Any = {"amount": 100, "currency": "usd", "destination": destination, **params}
        return self.client.v1.transfers.create(given, {"idempotency_key": key or str(uuid.uuid4())})


def refusal(call: Callable[[], object]) -> tuple[str, int | None, str | None, str | None]:
    """How a call is refused: class of the SDK, status, code, parameter."""
    try:
        call()
    except stripe.StripeError as error:
        found = error.error
        code = error.code or (getattr(found, "code", None) if found is not None else None)
        param = getattr(found, "param", None) if found is not None else None
        return type(error).__name__, error.http_status, code, param
    return "accepted", 200, None, None


def same(got: object, expected: object) -> None:
    """Raises AssertionError that names both."""
    assert got == expected, f"{got!r}, expected {expected!r}"


def balance_is_of_test_mode(at: Company) -> None:
    same(at.client.v1.balance.retrieve().livemode, False)


def unknown_parameters_are_refused_by_name(at: Company) -> None:
    got = refusal(lambda: at.account(colour="blue"))
    same(got, ("InvalidRequestError", 400, "parameter_unknown", "colour"))


def missing_parameters_are_refused_by_name(at: Company) -> None:
    params: Any = {"amount": 100, "currency": "usd"}
    got = refusal(lambda: at.client.v1.transfers.create(params))
    same(got, ("InvalidRequestError", 400, "parameter_missing", "destination"))


def amounts_are_whole_numbers(at: Company) -> None:
    got = refusal(lambda: at.transfer("acct_1", amount="1.5"))
    same(got, ("InvalidRequestError", 400, "parameter_invalid_integer", "amount"))


def destinations_have_to_exist(at: Company) -> None:
    got = refusal(lambda: at.transfer("acct_1NothingHere000000"))
    same(got, ("InvalidRequestError", 400, "resource_missing", "destination"))


def transfers_have_to_exist(at: Company) -> None:
    got = refusal(lambda: at.client.v1.transfers.retrieve("tr_1NothingHere"))
    same(got[:3], ("InvalidRequestError", 404, "resource_missing"))


def accounts_of_others_are_closed_to_us(at: Company) -> None:
    got = refusal(lambda: at.client.v1.accounts.retrieve("acct_1NothingHere000000"))
    same(got[:3], ("PermissionError", 403, "account_invalid"))


def unknown_addresses_have_no_code(at: Company) -> None:
    try:
        answer = at.client.raw_request("get", "/v1/nothing_here")
        same(answer.code, 404)
    except stripe.InvalidRequestError as refused:
        same((refused.http_status, refused.code), (404, None))


def limits_end_at_a_hundred(at: Company) -> None:
    got = refusal(lambda: at.client.v1.transfers.list({"limit": 101}))
    same(got[:2], ("InvalidRequestError", 400))


def what_cannot_be_expanded_is_refused(at: Company) -> None:
    account = at.account()
    got = refusal(lambda: at.client.v1.accounts.retrieve(account.id, {"expand": ["colour"]}))
    same(got[:2], ("InvalidRequestError", 400))


def the_same_key_gives_the_same_answer(at: Company) -> None:
    key = str(uuid.uuid4())
    first, again = at.account(key), at.account(key)
    same(again.id, first.id)
    assert again.last_response is not None
    same(again.last_response.headers.get("Idempotent-Replayed"), "true")


def the_same_key_with_other_parameters_is_refused(at: Company) -> None:
    key = str(uuid.uuid4())
    at.account(key)
    got = refusal(lambda: at.account(key, email="other@example.com"))
    same(got[:2], ("IdempotencyError", 400))


def what_fails_validation_is_not_kept(at: Company) -> None:
    key = str(uuid.uuid4())
    refusal(lambda: at.account(key, colour="blue"))
    same(refusal(lambda: at.account(key))[0], "accepted")


def keys_end_at_255_characters(at: Company) -> None:
    got = refusal(lambda: at.account("k" * 256))
    same(got[1], 400)


def a_new_account_cannot_receive_transfers(at: Company) -> None:
    account: dict[str, Any] = at.account().to_dict()
    same(account["capabilities"]["transfers"], "inactive")
    same((account["payouts_enabled"], account["details_submitted"]), (False, False))
    assert account["requirements"]["currently_due"], "nothing is due from a new owner"


def a_transfer_needs_the_capability(at: Company) -> None:
    account = at.account()
    got = refusal(lambda: at.transfer(account.id))
    same(got[:3], ("InvalidRequestError", 400, "insufficient_capabilities_for_transfer"))


def a_link_leads_to_the_onboarding(at: Company) -> None:
    account = at.account()
    ends: Any = {"refresh_url": "https://example.com/again", "return_url": "https://example.com/done"}
    wish: Any = {"account": account.id, "type": "account_onboarding", **ends}
    link = at.client.v1.account_links.create(wish)
    assert link.expires_at > link.created, "it has ended before it began"
    assert account.id in link.url, "it does not name the account"


def metadata_is_set_and_unset_key_by_key(at: Company) -> None:
    account = at.account(metadata={"made_by": LABEL, "a": "1"})
    changed = at.client.v1.accounts.update(account.id, {"metadata": {"a": "", "b": "2"}})
    same(changed.to_dict()["metadata"], {"made_by": LABEL, "b": "2"})


def lists_are_newest_first_and_lead_on(at: Company) -> None:
    made = [at.account().id for _ in range(3)]
    first = at.client.v1.accounts.list({"limit": 2})
    same([one.id for one in first.data], [made[2], made[1]])
    same(first.has_more, True)
    then = at.client.v1.accounts.list({"limit": 1, "starting_after": made[1]})
    same([one.id for one in then.data], [made[0]])


def v2_sees_the_accounts_of_v1(at: Company) -> None:
    account = at.account()
    seen = at.client.v2.core.accounts.retrieve(account.id, {"include": ["configuration.recipient"]})
    same((seen.id, seen.object, seen.livemode), (account.id, "v2.core.account", False))


def v2_does_not_know_what_is_not_there(at: Company) -> None:
    got = refusal(lambda: at.client.v2.core.accounts.retrieve("acct_1NothingHere000000"))
    same(got[1:3], (404, "not_found"))


def a_transfer_is_made_once_found_and_taken_back(at: Company) -> None:
    assert at.destination is not None
    key, group = str(uuid.uuid4()), f"{LABEL}-{uuid.uuid4()}"
    sent = {"transfer_group": group, "metadata": {"made_by": LABEL}}
    first, again = (at.transfer(at.destination, key, **sent) for _ in range(2))
    same(again.id, first.id)
    where: Any = {"transfer_group": group, "destination": at.destination}
    same([one.id for one in at.client.v1.transfers.list(where).data], [first.id])
    moved = at.client.v1.balance_transactions.list({"source": first.id, "expand": ["data.source"]}).data
    same([(one.type, one.amount) for one in moved], [("transfer", -100)])
    at.client.v1.transfers.reversals.create(first.id, {"amount": 40})
    part: Any = at.client.v1.transfers.retrieve(first.id)
    same((part.amount_reversed, part.reversed), (40, False))
    beyond = refusal(lambda: at.client.v1.transfers.reversals.create(first.id, {"amount": 61}))
    same(beyond[:2], ("InvalidRequestError", 400))
    at.client.v1.transfers.reversals.create(first.id)
    same(at.client.v1.transfers.retrieve(first.id).reversed, True)


def a_refusal_in_execution_is_kept(at: Company) -> None:
    """More than there is: the same key hears the same no."""
    assert at.destination is not None
    key = str(uuid.uuid4())
    said = [refusal(lambda: at.transfer(str(at.destination), key, amount=99_999_999)) for _ in range(2)]
    same(said[0][2], "balance_insufficient")
    same(said[1], said[0])


CHECKS: tuple[Check, ...] = (
    balance_is_of_test_mode,
    unknown_parameters_are_refused_by_name,
    missing_parameters_are_refused_by_name,
    amounts_are_whole_numbers,
    destinations_have_to_exist,
    transfers_have_to_exist,
    accounts_of_others_are_closed_to_us,
    unknown_addresses_have_no_code,
    limits_end_at_a_hundred,
    what_cannot_be_expanded_is_refused,
    the_same_key_gives_the_same_answer,
    the_same_key_with_other_parameters_is_refused,
    what_fails_validation_is_not_kept,
    keys_end_at_255_characters,
    a_new_account_cannot_receive_transfers,
    a_transfer_needs_the_capability,
    a_link_leads_to_the_onboarding,
    metadata_is_set_and_unset_key_by_key,
    lists_are_newest_first_and_lead_on,
    v2_sees_the_accounts_of_v1,
    v2_does_not_know_what_is_not_there,
)
WITH_DESTINATION: tuple[Check, ...] = (
    a_transfer_is_made_once_found_and_taken_back,
    a_refusal_in_execution_is_kept,
)
"""These need an account that may receive transfers, and 1.00 US dollar on the platform's test balance."""
