"""Programs, the versions of their terms, and their groups of partners."""

from typing import Any
from uuid import UUID

import falcon

from api.answers import send
from api.listings import Row, send_list, shown_as
from api.operations import operation
from api.schemas.fields import PageQuery, page_of
from api.schemas.programs import (
    NewPartnerGroupSchema,
    NewProgramSchema,
    NewTermsSchema,
    PartnerGroupSchema,
    ProgramQuery,
    ProgramSchema,
    TermsVersionSchema,
)
from api.services import Resource
from ledger import program
from ledger.commands import CreatePartnerGroup, CreateProgram, PublishTerms
from ledger.refusals import NotFound
from projections import queries

PROGRAM = ProgramSchema()
TERMS = TermsVersionSchema()
GROUP = PartnerGroupSchema()
READ = ("finance:read", "finance:approve", "conversions:write")
NEW_PROGRAM = {
    "reference": "acme-referrals",
    "name": "Acme referrals",
    "type": "referral_network",
    "currency": "GBP",
    "landing_url": "https://example.com/welcome",
}
NEW_TERMS = {
    "terms": {
        "language": 1,
        "rules": [{"kinds": ["sale", "renewal"], "reward": {"rate_bps": 2000}, "duration": {"months": 12}}],
        "holding_days": 30,
        "attribution": {"model": "last_touch", "window_days": 90},
        "minimum_payout_minor": 1000,
    }
}


def show_program(program_id: UUID, state: program.ProgramState) -> Row:
    """A program as it is answered."""
    return {
        "program_id": program_id,
        "reference": state.reference,
        "name": state.name,
        "type": state.type,
        "currency": state.currency,
        "goals": state.goals,
        "landing_url": state.landing_url,
        "terms_version": len(state.terms_versions),
    }


def show_terms(program_id: UUID, version: program.TermsVersion) -> Row:
    """A version of the terms as it is answered."""
    return {
        "program_id": program_id,
        "terms_version": version.terms_version,
        "terms": version.terms,
        "effective_at": version.effective_at,
        "partner_group": version.partner_group,
    }


class Programs(Resource):
    """All programs."""

    @operation(
        "Set a program up",
        scopes=("admin",),
        body=NewProgramSchema(),
        answer=PROGRAM,
        statuses=(201, 200),
        problems=("already-exists",),
        example=NEW_PROGRAM,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """201: it is new. 200: it was there, with the same content."""
        done = self.desk.execute(
            CreateProgram(**{**body, "goals": tuple(body["goals"])}), by=req.context.caller.by
        )
        resp.location = f"/v1/programs/{done.id}"
        send(resp, show_program(done.id, done.state), 201 if done.new else 200)

    @operation("List programs", scopes=READ, query=ProgramQuery(), answer=page_of(PROGRAM))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """By reference."""
        show = shown_as(PROGRAM)
        send_list(req, resp, self.database, query, queries.list_programs, show, type=query["type"])


class Program(Resource):
    """One program."""

    @operation("Get a program", scopes=READ, answer=PROGRAM, problems=("unknown-program",))
    def on_get(self, _req: falcon.Request, resp: falcon.Response, program_id: UUID) -> None:
        """As its facts stand now."""
        send(resp, show_program(program_id, program.known(self.desk.program(program_id))))


class TermsVersions(Resource):
    """The versions of a program's terms."""

    @operation(
        "Publish terms",
        scopes=("admin",),
        body=NewTermsSchema(),
        answer=TERMS,
        statuses=(201, 200),
        problems=("unknown-program", "invalid-terms"),
        example=NEW_TERMS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, body: Row) -> None:
        """The next version. 200: the newest one says the same already."""
        done = self.desk.execute(PublishTerms(program_id=program_id, **body), by=req.context.caller.by)
        resp.location = f"/v1/programs/{program_id}/terms/{done.state.terms_version}"
        send(resp, show_terms(program_id, done.state), 201 if done.new else 200)

    @operation(
        "List the versions of a program's terms", scopes=READ, query=PageQuery(), answer=page_of(TERMS)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, query: Row) -> None:
        """From the first on."""
        show = shown_as(TERMS)
        send_list(req, resp, self.database, query, queries.list_terms_versions, show, program_id=program_id)


class TermsVersion(Resource):
    """One version of a program's terms."""

    @operation("Get a version of the terms", scopes=READ, answer=TERMS, problems=("unknown-program",))
    def on_get(
        self, _req: falcon.Request, resp: falcon.Response, program_id: UUID, terms_version: int
    ) -> None:
        """It never changes."""
        state = program.known(self.desk.program(program_id))
        found = program.terms_version(state, terms_version)
        if found is None:
            raise NotFound("the program has no such version of its terms")
        send(resp, show_terms(program_id, found))


class PartnerGroups(Resource):
    """The groups of a program."""

    @operation(
        "Make a group",
        scopes=("admin",),
        body=NewPartnerGroupSchema(),
        answer=GROUP,
        statuses=(201, 200),
        problems=("unknown-program", "already-exists"),
        example={"partner_group": "gold", "name": "Gold"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, body: Row) -> None:
        """A group can have terms of its own."""
        done = self.desk.execute(CreatePartnerGroup(program_id=program_id, **body), by=req.context.caller.by)
        group: Any = done.state
        shown = {"program_id": program_id, "partner_group": group.partner_group, "name": group.name}
        send(resp, shown, 201 if done.new else 200)

    @operation("List a program's groups", scopes=READ, query=PageQuery(), answer=page_of(GROUP))
    def on_get(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, query: Row) -> None:
        """By name."""
        show = shown_as(GROUP)
        send_list(req, resp, self.database, query, queries.list_partner_groups, show, program_id=program_id)
