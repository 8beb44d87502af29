"""`revshare partners`: onboard them, look at payout accounts, file tax forms, list who is reported."""

from functools import partial
from typing import Annotated, Any, Final

import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.keys import partner_id_of
from api.cli.parts import settings
from api.cli.terminal import out, say
from api.cli.terminal import table as new_table
from ledger.money import Money

partners = typer.Typer(help="Partners: onboarding, payout accounts, tax forms.", no_args_is_help=True)

Partner = Annotated[str, typer.Argument(help="The partner's id, or its reference.")]
_PAGE: Final = 200


@partners.command()
def onboard(
    partner: Partner,
    return_url: Annotated[str | None, typer.Option(help="Where the partner comes back to.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Make the partner's account at Stripe, if it has none, and print a link for its owner."""
    back = return_url or settings().onboarding_return_url
    shown = _post(url, key, partner, "payout-account", {"return_url": back})
    _show(shown)
    say(f"within minutes, and once, until {shown['onboarding_link']['expires_at']}:")
    out.print(shown["onboarding_link"]["url"], soft_wrap=True)


@partners.command()
def locale(
    partner: Partner,
    tag: Annotated[str, typer.Argument(help="As de or de-AT (BCP 47); none: no language of its own.")],
    url: Url = None,
    key: Key = "",
) -> None:
    """Say in which language and number format the partner's statements are written."""
    shown = _post(url, key, partner, "locale", {"locale": None if tag == "none" else tag})
    say(f"{shown['reference']} is written to in {shown['locale'] or 'no language of its own'}")


@partners.command("payout-account")
def payout_account(
    partner: Partner,
    link: Annotated[str | None, typer.Option(help="Link this account (acct_…) first.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Show how the partner's payout account stands, and what is in the way of a payout."""
    if link is not None:
        _show(_post(url, key, partner, "payout-account", {"destination": link}))
        return
    path = f"/v1/partners/{partner_id_of(partner)}/payout-account"
    _show(asked(lambda: client_of(url, key).want("GET", path)))


@partners.command("tax-form")
def tax_form(
    partner: Partner,
    form: Annotated[str, typer.Argument(help="w-9, w-8ben, w-8ben-e, w-8eci, w-8exp or w-8imy.")],
    reference: Annotated[str, typer.Option(help="Where the form is kept.")],
    signed_at: Annotated[str, typer.Option(help="When it was signed, as 2026-01-15T00:00:00Z.")],
    url: Url = None,
    key: Key = "",
) -> None:
    """Say that a tax form of the partner is on file. The form itself is not kept here."""
    filed = {"form": form, "reference": reference, "effective_at": signed_at}
    _show(_post(url, key, partner, "tax-forms", filed))


@partners.command()
def reportable(
    year: Annotated[int, typer.Option(help="The calendar year.")], url: Url = None, key: Key = ""
) -> None:
    """List the partners whose payments of a year are reported on Form 1099-NEC."""
    of = client_of(url, key)
    table = new_table("partner", "reference", "country", "paid", "threshold")
    path: str | None = "/v1/tax-reports/1099-nec"
    query: dict[str, Any] = {"year": year, "limit": _PAGE}
    while path is not None:
        found = asked(partial(of.want, "GET", path, **query))
        for one in found["items"]:
            paid, least = (Money(one[name], one["currency"]) for name in ("paid_minor", "threshold_minor"))
            table.add_row(one["partner_id"], one["reference"], one["country"] or "", str(paid), str(least))
        path, query = found["next"], {}
    out.print(table)


def _post(url: str | None, key: str, partner: str, what: str, content: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/partners/{partner_id_of(partner)}/{what}"
    return asked(lambda: client_of(url, key).want("POST", path, content))


def _show(account: dict[str, Any]) -> None:
    table = new_table("", "", show_header=False)
    for name in ("destination", "transfers_active", "payouts_enabled", "disabled_reason", "seen_at"):
        table.add_row(name.replace("_", " "), str(account[name] if account[name] is not None else ""))
    table.add_row("currently due", ", ".join(account["currently_due"]))
    table.add_row("tax forms", ", ".join(one["form"] for one in account["tax_forms"]))
    out.print(table)
    for one in account["obstacles"]:
        out.print(f"can't be paid: {one['detail']}")
