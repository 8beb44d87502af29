"""Schemas of programs, the versions of their terms, and their groups of partners."""

from typing import get_args

from marshmallow import fields, validate

from api.schemas.fields import Id, PageQuery, Strict, Text, Time, Whole, choice, currency, reference, text
from ledger.events.program import ProgramType

PROGRAM_TYPES = get_args(ProgramType)


class NewProgramSchema(Strict):
    """A program to set up."""

    reference = reference(required=True)
    name = text(200, required=True)
    type = choice(*PROGRAM_TYPES, required=True)
    currency = currency(required=True)
    goals = fields.List(text(200), load_default=())
    landing_url = text(2_000, load_default=None, allow_none=True)


class ProgramSchema(Strict):
    """A program: what partners join."""

    program_id = Id(required=True)
    reference = Text(required=True)
    name = Text(required=True)
    type = choice(*PROGRAM_TYPES, required=True)
    currency = currency(required=True)
    goals = fields.List(Text(), required=True)
    landing_url = Text(required=True, allow_none=True)
    terms_version = Whole(
        required=True, metadata={"description": "The newest version of its terms; 0: none was published."}
    )


class ProgramQuery(PageQuery):
    """Which programs to list."""

    type = choice(*PROGRAM_TYPES, load_default=None)


class NewTermsSchema(Strict):
    """Terms to publish. The document is validated whole: every mistake comes back with its path."""

    terms = fields.Dict(required=True, metadata={"description": "The document; see the README's example."})
    effective_at = Time(load_default=None, allow_none=True)
    partner_group = text(64, load_default=None, allow_none=True)


class TermsVersionSchema(Strict):
    """An immutable version of a program's terms."""

    program_id = Id(required=True)
    terms_version = Whole(required=True, validate=validate.Range(1))
    terms = fields.Dict(required=True)
    effective_at = Time(required=True)
    partner_group = Text(required=True, allow_none=True)


class NewPartnerGroupSchema(Strict):
    """A group to make."""

    partner_group = text(64, required=True)
    name = text(200, required=True)


class PartnerGroupSchema(Strict):
    """A group of partners, which can have terms of its own."""

    program_id = Id(required=True)
    partner_group = Text(required=True)
    name = Text(required=True)
