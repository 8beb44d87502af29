"""Why a partner can't be paid now, and which holds its account asks for. Pure: drafts and worker ask."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from ledger import tax_forms
from ledger.events.partner import PayoutAccountChanged, PayoutHoldCause, TaxForm
from ledger.partner import PartnerState, payouts_held

ObstacleCode = Literal[
    "partner_not_approved",
    "payouts_held",
    "no_account",
    "account_not_seen",
    "transfers_inactive",
    "tax_form_missing",
]
STRIPE: Final = "stripe"
CLOSED: Final = "closed"
"""Our word for an account that is closed to us, where the provider itself has no `disabled_reason`."""
_REJECTED: Final = "rejected."
ACCOUNT_HOLDS: Final[tuple[PayoutHoldCause, ...]] = ("account_restricted", "account_closed")
"""The holds that an account's state sets and lifts by itself."""
_DUE_SHOWN: Final = 5


class Obstacle(msgspec.Struct, frozen=True):
    """One reason why a partner can't be paid now: a word for programs, a line for people."""

    code: ObstacleCode
    detail: str


def obstacles(
    state: PartnerState, provider: str, *, now: datetime, us_source: bool = False
) -> tuple[Obstacle, ...]:
    """Every reason why the partner can't be paid through a provider now; none: it can.

    `us_source`: the program's rewards are income from sources in the US, for which payees of other countries
    need a form, too.
    """
    found: list[Obstacle] = []
    if state.status != "approved":
        found.append(Obstacle("partner_not_approved", f"the partner is {state.status}"))
    held = payouts_held(state, provider)
    if held is not None:
        found.append(Obstacle("payouts_held", held))
    found.extend(_of_account(state, provider))
    missing = missing_tax_form(state, now=now, us_source=us_source)
    if missing is not None:
        found.append(Obstacle("tax_form_missing", missing))
    return tuple(found)


def _of_account(state: PartnerState, provider: str) -> list[Obstacle]:
    if provider not in state.payout_accounts:
        return [Obstacle("no_account", f"the partner has no account of {provider}")]
    if provider != STRIPE:
        return []  # a bank account has no state that anybody could ask for
    seen = state.account_seen(provider)
    if seen is None:
        return [Obstacle("account_not_seen", f"nobody has looked yet how its account of {provider} stands")]
    return [] if seen.transfers_active else [Obstacle("transfers_inactive", why_inactive(seen))]


def why_inactive(seen: PayoutAccountChanged) -> str:
    """Why an account gets no transfers, in words."""
    due = ", ".join(seen.currently_due[:_DUE_SHOWN]) + (" …" if len(seen.currently_due) > _DUE_SHOWN else "")
    why = seen.disabled_reason or "onboarding is not finished"
    return f"transfers are not active: {why}" + (f"; still due: {due}" if due else "")


def account_holds(seen: PayoutAccountChanged) -> Mapping[PayoutHoldCause, str]:
    """The holds that a state asks for, with their reasons. The same state always asks for the same ones."""
    reason = seen.disabled_reason or ""
    if reason == CLOSED or reason.startswith(_REJECTED):
        return {"account_closed": f"the account is closed: {reason}"}
    return {} if seen.transfers_active else {"account_restricted": why_inactive(seen)}


def is_us(state: PartnerState) -> bool:
    """Whether the partner is of the US: by its own word, or its account's country."""
    return tax_forms.US in (state.country, *(seen.country for seen in state.accounts_seen.values()))


def form_on_file(state: PartnerState, now: datetime) -> TaxForm | None:
    """A tax form of the right kind that counts now."""
    us = is_us(state)
    for form, filed in state.tax_forms.items():
        current = filed.expires_at is None or now < filed.expires_at
        if current and tax_forms.RULES[form].for_us_persons == us:
            return form
    return None


def missing_tax_form(state: PartnerState, *, now: datetime, us_source: bool) -> str | None:
    """Which tax form is wanted and not on file; None where none is missing."""
    us = is_us(state)
    if not (us or us_source) or form_on_file(state, now) is not None:
        return None
    wanted = "W-9" if us else "W-8"
    expired = any(tax_forms.RULES[form].for_us_persons == us for form in state.tax_forms)
    return f"its {wanted} has expired" if expired else f"there is no {wanted} on file"


def missing_for(state: PartnerState, programs: Sequence[str], *, now: datetime) -> tuple[Obstacle, ...]:
    """The form that payouts of these programs alone need, since they pay out income from the US.

    Nothing where none is missing, or where it is missing for every program.
    """
    if not programs or missing_tax_form(state, now=now, us_source=False) is not None:
        return ()
    missing = missing_tax_form(state, now=now, us_source=True)
    if missing is None:
        return ()
    return (Obstacle("tax_form_missing", f"{missing}, and payouts of {', '.join(programs)} need it"),)
