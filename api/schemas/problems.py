"""The schema of every error: a problem document (RFC 9457)."""

from marshmallow import INCLUDE, fields

from api.schemas.fields import Strict, Text, Whole


class FieldErrorSchema(Strict):
    """One field, parameter or header that is wrong."""

    pointer = Text(
        required=True,
        metadata={
            "description": "A JSON pointer (RFC 6901) to it; of a parameter or header, `/` and its name."
        },
    )
    detail = Text(required=True)


class ProblemSchema(Strict):
    """Why something was not done. `type` is stable, and the address of a page that explains it."""

    class Meta:
        """Options of marshmallow: some problems have members of their own."""

        unknown = INCLUDE

    type = Text(required=True, metadata={"example": "/problems/wrong-currency"})
    title = Text(required=True)
    status = Whole(required=True)
    detail = Text(required=True)
    instance = Text(metadata={"description": "The request, by its X-Request-Id."})
    errors = fields.List(fields.Nested(FieldErrorSchema()))
