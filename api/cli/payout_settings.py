"""`revshare payouts settings`, `withhold` and `remitted`: how a program pays out, and the taxes of that."""

from typing import Annotated, Any, Final

import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.importer import program_id_of
from api.cli.keys import partner_id_of
from api.cli.terminal import EXIT_USAGE, fail, out
from api.cli.terminal import table as new_table

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NONE: Final = "none"
_TOLD: Final = ("program_id", "next_due", "last_due", "withholding_remitted_through")
"""What an answer tells besides the settings."""


def settings(
    program: Annotated[str, typer.Argument(help="The program's id, or its reference.")],
    monthly: Annotated[
        int | None, typer.Option(help="Draft on this day of each month; past its end: on its last.")
    ] = None,
    weekly: Annotated[
        str | None, typer.Option(help="Draft on this day of each week: monday to sunday.")
    ] = None,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Draft when asked to, alone.")] = False,
    time_zone: Annotated[
        str | None, typer.Option(help="Of the calendar, as Europe/London. Default: as before, else UTC.")
    ] = None,
    hour: Annotated[
        int | None, typer.Option(help="Of the day there, 0 to 23. Default: as before, else 6.")
    ] = None,
    minimum_minor: Annotated[
        str | None, typer.Option(help="Pay nothing below this, in minor units; or: none.")
    ] = None,
    second_approval_over_minor: Annotated[
        str | None, typer.Option(help="A larger batch needs two checkers; or: none.")
    ] = None,
    withhold: Annotated[
        list[str] | None, typer.Option(help="Tax by country, as DE=1500 (15%); these replace all; or: none.")
    ] = None,
    us_source: Annotated[
        bool | None,
        typer.Option("--us-source/--not-us-source", help="Whether it is income from the US."),
    ] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Show how a program pays out; with options change these, and leave the others."""
    client, path = client_of(url, key), f"/v1/programs/{program_id_of(program)}/payout-settings"
    found = asked(lambda: client.want("GET", path))
    wanted = {name: found[name] for name in found if name not in _TOLD}
    if on_demand:
        wanted["schedule"] = None
    elif monthly is not None or weekly is not None or time_zone is not None or hour is not None:
        wanted["schedule"] = _schedule(wanted["schedule"], monthly, weekly, time_zone, hour)
    if minimum_minor is not None:
        wanted["minimum_minor"] = _amount(minimum_minor)
    if second_approval_over_minor is not None:
        wanted["second_approval_over_minor"] = _amount(second_approval_over_minor)
    if withhold:
        wanted["withholding"] = [] if withhold == [NONE] else [_rate(each) for each in withhold]
    if us_source is not None:
        wanted["us_source"] = us_source
    if any(found[name] != value for name, value in wanted.items()):
        found = asked(lambda: client.want("POST", path, wanted))
    _show(found)


def withhold(
    partner: Annotated[str, typer.Argument(help="The partner's id, or its reference.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded with your key.")],
    rate_bps: Annotated[int | None, typer.Option(help="In basis points: 1500 is 15%.")] = None,
    by_country: Annotated[bool, typer.Option("--by-country", help="What its program says of it.")] = False,
    url: Url = None,
    key: Key = "",
) -> None:
    """Say what is withheld as tax from a partner's payouts that are drafted from now on."""
    if (rate_bps is None) == (not by_country):
        fail("say either --rate-bps or --by-country", code=EXIT_USAGE)
    path = f"/v1/partners/{partner_id_of(partner)}/withholding"
    wish = {"rate_bps": rate_bps, "reason": reason}
    said = asked(lambda: client_of(url, key).want("POST", path, wish))
    rate = "as its country" if said["rate_bps"] is None else percent(said["rate_bps"])
    out.print(f"partner {said['partner_id']}: {rate} is withheld")


def remitted(
    program: Annotated[str, typer.Argument(help="The program's id, or its reference.")],
    through: Annotated[str, typer.Option(help="Up to when it was withheld, as 2026-03-31T23:59:59Z.")],
    reference: Annotated[str, typer.Option(help="The payment or the filing by which it went there.")],
    url: Url = None,
    key: Key = "",
) -> None:
    """Say that the tax withheld up to a time is with the tax office: it comes back with no transfer."""
    path = f"/v1/programs/{program_id_of(program)}/withholding-remittances"
    wish = {"through": through, "reference": reference}
    said = asked(lambda: client_of(url, key).want("POST", path, wish))
    out.print(f"withheld tax is remitted up to {said['withholding_remitted_through']}")


def percent(rate_bps: int) -> str:
    """Basis points for people: 15%, 12.5%, 0.01%."""
    whole, rest = divmod(rate_bps, 100)
    return f"{whole}{f'.{rest:02d}'.rstrip('0') if rest else ''}%"


def _schedule(
    before: dict[str, Any] | None,
    monthly: int | None,
    weekly: str | None,
    time_zone: str | None,
    hour: int | None,
) -> dict[str, Any]:
    schedule = dict(before or {"time_zone": "UTC", "hour": 6})
    if monthly is not None and weekly is not None:
        fail("say either --monthly or --weekly", code=EXIT_USAGE)
    if monthly is not None:
        schedule |= {"every": "month", "day": monthly}
    elif weekly is not None:
        if weekly.lower() not in WEEKDAYS:
            fail(f"no day of the week is called {weekly}", code=EXIT_USAGE, hint=", ".join(WEEKDAYS))
        schedule |= {"every": "week", "day": WEEKDAYS.index(weekly.lower()) + 1}
    elif before is None:
        fail("there is no calendar yet", code=EXIT_USAGE, hint="say --monthly or --weekly, too")
    schedule |= {} if time_zone is None else {"time_zone": time_zone}
    return schedule | ({} if hour is None else {"hour": hour})


def _amount(text: str) -> int | None:
    if text == NONE:
        return None
    if not text.isdecimal():
        fail(f"{text} is no amount in minor units", code=EXIT_USAGE, hint=f"a whole number, or {NONE}")
    return int(text)


def _rate(text: str) -> dict[str, Any]:
    country, _, rate = text.partition("=")
    if not rate.isdecimal():
        fail(f"{text} is no country with its rate", code=EXIT_USAGE, hint="as DE=1500, or none")
    return {"country": country, "rate_bps": int(rate)}


def _show(of: dict[str, Any]) -> None:
    table = new_table("setting", "is")
    table.add_row("drafted", _calendar(of["schedule"]))
    if of["next_due"] is not None:
        table.add_row("next", f"{of['next_due']['on']} ({of['next_due']['at']})")
    if of["last_due"] is not None:
        last = of["last_due"]
        became = {"passed": "nobody was due", "none": "waits for engine and views"}.get(last["status"])
        table.add_row("last", f"{last['on']}: {became or last['batch_id'] + ', ' + last['status']}")
    for name in ("minimum_minor", "second_approval_over_minor"):
        table.add_row(name.replace("_", " "), NONE if of[name] is None else str(of[name]))
    taxes = [f"{each['country']} {percent(each['rate_bps'])}" for each in of["withholding"]]
    table.add_row("withheld", ", ".join(taxes) or NONE)
    table.add_row("remitted up to", of["withholding_remitted_through"] or NONE)
    table.add_row("income from the US", "yes: every partner needs a form" if of["us_source"] else "no")
    out.print(table)


def _calendar(schedule: dict[str, Any] | None) -> str:
    if schedule is None:
        return "on demand"
    day = f"day {schedule['day']} of each month"
    if schedule["every"] == "week":
        day = f"each {WEEKDAYS[schedule['day'] - 1]}"
    return f"{day}, {schedule['hour']:02d}:00 {schedule['time_zone']}"
