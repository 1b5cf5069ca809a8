"""What a till or a shop system hands in: orders and refunds as forms, checked at the door."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

# Ids of outside systems: one line of text, no control characters.
Code = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Mobile = Annotated[str, StringConstraints(pattern=r"^1[0-9]{10}$")]
# A hundred million yuan: beyond any sale, and its points still fit their column.
_MAX_FEN = 10**10
# What a broken clock makes up is not when anybody paid, and may not even be an instant in UTC.
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, lt=_LAST)]
_MAX_QUANTITY = 10**6
_MAX_LINES = 500


class _Form(BaseModel):
    # A mobile in a form must not come back in the text of an error.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class MemberRef(_Form):
    """Who bought: exactly one of the three keys that a till can know."""

    mobile: Mobile | None = None
    external_id: Code | None = None
    card_no: Code | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "MemberRef":
        given = [key for key in (self.mobile, self.external_id, self.card_no) if key is not None]
        if len(given) != 1:
            raise ValueError("Name the member by exactly one of mobile, external_id and card_no.")
        return self


class LineForm(_Form):
    """One product of an order; `amount_fen` is what was paid for the whole line.

    A product that is not known yet is taken in when the line gives its name.
    """

    product_external_id: Code
    quantity: int = Field(ge=0, le=_MAX_QUANTITY)
    amount_fen: int = Field(ge=0, le=_MAX_FEN)
    name: Name | None = None


class OrderForm(_Form):
    """A paid order. `external_id` is its key in the system that hands it in."""

    external_id: Code
    paid_at: Moment
    shop_code: Code
    member: MemberRef | None = None
    guide_userid: Code | None = None
    lines: list[LineForm] = Field(min_length=1, max_length=_MAX_LINES)
    coupon_code: Code | None = None

    @field_validator("lines")
    @classmethod
    def _not_beyond_any_sale(cls, lines: list[LineForm]) -> list[LineForm]:
        if sum(line.amount_fen for line in lines) > _MAX_FEN:
            raise ValueError(f"The lines come to more than {_MAX_FEN} fen.")
        return lines

    @property
    def amount_fen(self) -> int:
        """What was paid in all."""
        return sum(line.amount_fen for line in self.lines)


class RefundForm(_Form):
    """Money given back on an order that the same system handed in."""

    external_id: Code
    order_external_id: Code
    amount_fen: int = Field(gt=0, le=_MAX_FEN)
    refunded_at: Moment
