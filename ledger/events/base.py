"""What every fact is: a frozen struct, and the envelope that the store stamps around it."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """Something that happened, with every decision in it frozen. Compared by value.

    The garbage collector need not look for cycles in what never changes: it would do so in every batch.
    """

    version: ClassVar[int] = 1
    """The shape's version. It stands in the stored topic; older ones are upcast when read."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A fact as stored: where it stands, when we learned it and who said so.

    `originator_id` and `originator_version` place it in its stream (the names are the library's),
    `position` in the whole log: 0 until it is stored. `by` is `key:<id>`, `engine`, `payouts` or `cli`.
    """

    originator_id: UUID
    originator_version: int
    recorded_at: datetime
    by: str
    fact: Fact
    position: int = 0
