"""Where the record speaks about a person: every table, what an erasure does to it, what is shown.

The tables are named as plain SQL tables, so that every noun can lean on members without a circle.
Tests hold this list against every foreign key to a person, and every text against an erased name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_NEW_TOKEN = "md5(gen_random_uuid()::text)"  # noqa: S105 -- SQL that makes a token, not a token


@dataclass(frozen=True)
class Part:
    """Rows of `table` that are about the person whose id stands in `owner`.

    `of` is the table that `owner` points to, when that is not the person's own row. On erasure the
    rows go, or stay without what `blanks` names (column to SQL). `hidden` is not exported.
    """

    table: str
    owner: str = "member_id"
    of: str = "members"
    is_deleted: bool = False
    blanks: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    # SQL in place of the owner, for rows that point to nobody.
    where: str = ""

    @property
    def condition(self) -> str:
        """SQL: the rows of the people `:ids`."""
        if self.where:
            return self.where
        if self.of == "members":
            return f"{self.owner} = ANY(:ids)"
        keys = " UNION ".join(
            f"SELECT id FROM {part.table} WHERE {part.condition}"  # noqa: S608 -- our own names
            for part in PARTS
            if part.table == self.of
        )
        return f"{self.owner} IN ({keys})"


# A message's id holds the openid of its sender; hashed it still stops a repeat of an event.
_UNNAMED_ID = (
    "CASE WHEN platform_id ~ '^[0-9a-f]{64}$' THEN platform_id"
    " ELSE encode(sha256(convert_to(platform_id, 'UTF8')), 'hex') END"
)
_MESSAGE: Mapping[str, str] = {
    "platform_id": _UNNAMED_ID,
    "outside_id": "''",
    "payload": "'{}'",
    "reply": "NULL",
    "member_id": "NULL",
    # An answer that still had to follow has nobody to go to.
    "late": "CASE WHEN late = 'pending' THEN 'failed' ELSE late END",
}
UNNAMED_MESSAGE = ", ".join(f"{column} = {sql}" for column, sql in _MESSAGE.items())
_NEWS_OF_SALES = (
    "key IN (SELECT 'sale-' || sales.id FROM attributions AS sales"
    " JOIN care_tasks AS told ON told.id = sales.care_task_id WHERE told.member_id = ANY(:ids))"
)
_NEWS_OF_TALKS = (
    "key IN (SELECT 'handover-' || talks.id || '-' || number FROM handovers AS talks,"
    " generate_series(1, talks.nudges) AS number WHERE talks.member_id = ANY(:ids)"
    " UNION SELECT 'feedback-' || given.id FROM feedbacks AS given"
    " WHERE given.member_id = ANY(:ids))"
)
_NO_WORDS = 'message || \'{"title": "", "text": "", "rows": []}\''
# How far a contact is in step with WeCom is nothing about the person.
_STEPS = frozenset({"corp_tag_ids", "due_at", "leased_until", "attempts", "failure"})
_TILL = frozenset({"key", "card_code_hash"})
_NOBODY: Mapping[str, str] = {
    "card_no": _NEW_TOKEN,
    "external_id": "NULL",
    "mobile": "NULL",
    "name": "''",
    "birthday_on": "NULL",
    "birthday_set_at": "NULL",
    "timezone": "NULL",
    "shop_id": "NULL",
    "level_id": "NULL",
    "joined_at": "NULL",
}

# In the order of an erasure: what points to other parts comes before them.
PARTS = (
    Part("conversations", "identity_id", of="identities", is_deleted=True),
    Part(
        "sms_codes",
        "identity_id",
        of="identities",
        is_deleted=True,
        hidden=frozenset({"mobile_hash", "code_hash"}),
    ),
    Part(
        "notices",
        where=_NEWS_OF_SALES,
        blanks={"message": "jsonb_set(message, '{title}', '\"\"')"},
    ),
    Part("grants", is_deleted=True),
    Part("holds", is_deleted=True, hidden=frozenset({"channels", "priority"})),
    Part("inbound_messages", blanks=_MESSAGE, hidden=frozenset({"platform_id"})),
    Part("bindings", blanks={"member_id": "NULL"}, hidden=frozenset({"mobile_hash"})),
    Part("notices", where=_NEWS_OF_TALKS, blanks={"message": _NO_WORDS}),
    Part("handover_lines", "handover_id", of="handovers", is_deleted=True),
    Part("handovers", "identity_id", of="identities", is_deleted=True),
    Part("handovers", is_deleted=True, hidden=frozenset({"token"})),
    Part("feedbacks", blanks={"words": "''"}),
    Part("customer_notes", is_deleted=True, hidden=frozenset({"token"})),
    Part("ownerships", is_deleted=True),
    Part("friendships", is_deleted=True),
    Part("transfers", "contact_id", of="contacts", is_deleted=True),
    Part("contacts", "identity_id", of="identities", is_deleted=True, hidden=_STEPS),
    # A code counts who came by it, long after their names are forgotten.
    Part("scene_visits", "identity_id", of="identities", blanks={"identity_id": "NULL"}),
    Part("identities", is_deleted=True),
    # What was said is kept as proof, of somebody who has no name any more.
    Part("consents"),
    Part("wishes"),
    Part("suppressions", is_deleted=True),
    Part("member_tags", is_deleted=True),
    Part("member_facts", is_deleted=True),
    Part("audience_members"),
    Part("letters", "touch_id", of="touches", hidden=frozenset({"token"})),
    Part(
        "touches",
        blanks={"text": "''", "payload": "'{}'"},
        hidden=frozenset({"key", "verdict", "channels"}),
    ),
    Part(
        "care_tasks",
        blanks={
            "token": _NEW_TOKEN,
            "reason": "''",
            "draft": "''",
            "edited_text": "NULL",
            "picks": "'[]'",
        },
        hidden=frozenset({"token", "picks"}),
    ),
    Part("pick_taps", "care_task_id", of="care_tasks", is_deleted=True),
    Part("gifts", "giver_id", hidden=frozenset({"token_hash", "old_code"})),
    Part("gifts", "claimed_by_id", hidden=frozenset({"token_hash", "old_code"})),
    Part("attributions", "care_task_id", of="care_tasks"),
    Part("displacements", "touch_id", of="touches"),
    Part("points_shop_redemptions", "entry_id", of="points_entries", hidden=frozenset({"token"})),
    Part("till_redemptions", "entry_id", of="points_entries", hidden=_TILL),
    Part("till_redemptions", "coupon_id", of="coupons", hidden=_TILL),
    Part("coupons"),
    Part("points_takes", "entry_id", of="points_entries"),
    Part("points_lots"),
    Part("points_entries"),
    Part("order_lines", "order_id", of="orders"),
    Part("refunds", "order_id", of="orders"),
    # The books must be kept (ten years); who bought is no part of them.
    Part("orders", blanks={"member_id": "NULL"}),
    Part("merges", "kept_id", hidden=frozenset({"moved"})),
    Part("merges", "gone_id", hidden=frozenset({"moved"})),
    Part("members", "id", blanks=_NOBODY),
)
