"""Members: who they are, what they are called outside, whose they are, what they allowed and own.

A row finds its member by `external_id`, else by mobile, else by openid or external_userid. An empty
optional cell leaves what is recorded. Opening points, consents and tags are only ever added: the
member's own later word wins, as it does of the birthday.
"""

from collections.abc import Sequence

from sqlalchemy import text

from store.consents import Purpose
from store.db import Session
from store.imports import belongings
from store.imports.checking import CODE, DAY, MOBILE, WHOLE, Column, Reference, words
from store.imports.filling import insert_sql
from store.imports.guides import KNOWN_SHOP
from store.imports.kinds import Context, Kind, Landed
from store.imports.staging import drop_bad, number, refuse, refuse_repeats, run
from store.members import Member
from store.tokens import new_code
from store.touches import Channel

_KNOWN_GUIDE = Reference("guides", "userid", "is not a known guide; import the guides first.")
COLUMNS = (
    Column("external_id", CODE),
    Column("mobile", MOBILE, is_secret=True),
    Column("name", words()),
    Column("birthday", DAY, is_required=False),
    Column("shop_code", CODE, is_required=False, refers=KNOWN_SHOP),
    Column("guide_userid", CODE, is_required=False, refers=_KNOWN_GUIDE),
    Column("joined_on", DAY, is_required=False),
    Column("points", WHOLE, is_required=False),
    Column("tags", words(1000), is_required=False),
    Column("unionid", CODE, is_required=False, may_be_absent=True),
    Column("openid", CODE, is_required=False, may_be_absent=True),
    Column("external_userid", CODE, is_required=False, may_be_absent=True),
    Column("consents", words(1000), is_required=False, may_be_absent=True),
)
_MEMBER_VALUES = {
    "id": "p.member_id",
    "card_no": "k.card_no",
    "external_id": "p.external_id",
    "mobile": "p.mobile",
    "name": "p.name",
    "birthday_on": "p.birthday",
    "brand_id": ":brand_id",
    "shop_id": "p.shop_code_row",
    "joined_at": "coalesce(p.joined_on::timestamp AT TIME ZONE :zone, :now)",
    "created_at": "cast(:now AS timestamptz)",
}
# Whoever has set the day cannot put right for a year what a file would make of it.
_BIRTHDAY = (
    "CASE WHEN m.birthday_set_at IS NULL THEN coalesce(p.birthday, m.birthday_on)"
    " ELSE m.birthday_on END"
)
_UNIQUE_CELLS = ("mobile", "openid", "external_userid")
_CONSENT = f"({'|'.join(Channel)}):({'|'.join(Purpose)})"
_CONSENTS = f"^{_CONSENT}([|]{_CONSENT})*$"
_TAGS = "^[^|:]{1,50}(:[^|:]{1,50})?([|][^|:]{1,50}(:[^|:]{1,50})?)*$"


def land(session: Session, context: Context) -> Landed:
    """Write the members and what comes with them; counts members."""
    for cell in _UNIQUE_CELLS:
        _refuse_repeated_cell(session, cell)
    _refuse_lists(session, context)
    drop_bad(session, "checked")
    _find(session, context)
    _refuse_strangers(session)
    refuse_repeats(session, "people", "member_id")
    drop_bad(session, "people")
    added = _add_new(session, context)
    _update_known(session)
    belongings.write(session, context)
    updated = number(session, "SELECT count(DISTINCT member_id) FROM changed")
    rows = number(session, "SELECT count(*) FROM people")
    return Landed(added=added, updated=updated, unchanged=rows - added - updated)


def members_touched(session: Session) -> Sequence[int]:
    """The members of this file: new ones get their first facts and level."""
    found = session.execute(text("SELECT member_id FROM people ORDER BY 1"))
    return list(found.scalars())


def _refuse_repeated_cell(session: Session, cell: str) -> None:
    """An outside id or a mobile belongs to one row; the message does not quote it."""
    refuse(
        session,
        f"SELECT t.row_no, 'The same {cell} as row ' || d.first || '.'"
        f" FROM (SELECT {cell}, min(row_no) AS first FROM checked WHERE {cell} IS NOT NULL"
        f" GROUP BY {cell} HAVING count(*) > 1) d JOIN checked t USING ({cell})"
        " WHERE t.row_no > d.first",
    )


def _refuse_lists(session: Session, context: Context) -> None:
    """Refuse lists that are no lists, and outside ids whose account nobody named."""
    refuse(
        session,
        "SELECT row_no,"
        " 'consents is not a list such as wechat_service:marketing|wecom_broadcast:care.'"
        " FROM checked WHERE consents !~ :form",
        form=_CONSENTS,
    )
    refuse(
        session,
        "SELECT row_no, 'tags is not a list such as group:name|group:name.'"
        " FROM checked WHERE tags !~ :form",
        form=_TAGS,
    )
    for cell, account, option in (
        ("openid", context.wechat_account, "--account"),
        ("external_userid", context.wecom_account, "--wecom-account"),
    ):
        if account is None:
            refuse(
                session,
                f"SELECT row_no, '{cell} needs its account: name it with {option}.'"
                f" FROM checked WHERE {cell} IS NOT NULL",
            )


def _find(session: Session, context: Context) -> None:
    """Put beside each row the people it may mean."""
    run(
        session,
        "CREATE TEMP TABLE people ON COMMIT DROP AS"
        " SELECT c.*, e.id AS by_external, m.id AS by_mobile, m.external_id AS mobile_external,"
        " w.member_id AS by_openid, x.member_id AS by_contact, false AS is_new,"
        " coalesce(e.id, CASE WHEN m.external_id IS NULL THEN m.id END,"
        " w.member_id, x.member_id) AS member_id"
        " FROM checked c"
        " LEFT JOIN (SELECT external_id, coalesce(merged_into_id, id) AS id FROM members) e"
        " USING (external_id)"
        " LEFT JOIN members m ON m.mobile = c.mobile AND m.status = 'active'"
        " LEFT JOIN identities w ON w.channel = 'wechat' AND w.account = :wechat"
        " AND w.outside_id = c.openid"
        " LEFT JOIN identities x ON x.channel = 'wecom' AND x.account = :wecom"
        " AND x.outside_id = c.external_userid",
        wechat=context.wechat_account,
        wecom=context.wecom_account,
    )


def _refuse_strangers(session: Session) -> None:
    """Refuse rows whose mobile or outside id belongs to somebody else."""
    run(session, "UPDATE people SET reason = NULL")
    for cell, found in (("mobile", "by_mobile"), ("openid", "by_openid")):
        _refuse_found(session, cell, found)
    _refuse_found(session, "external_userid", "by_contact")
    refuse(
        session,
        "SELECT p.row_no, 'The outside id already belongs to another member.' FROM people p"
        " JOIN members m ON m.id = p.member_id WHERE p.by_external IS NULL"
        " AND (m.external_id IS NOT NULL OR (m.mobile IS NOT NULL AND m.mobile <> p.mobile))",
    )


def _refuse_found(session: Session, cell: str, found: str) -> None:
    refuse(
        session,
        f"SELECT row_no, '{cell} already belongs to another member.' FROM people"
        f" WHERE {found} IS NOT NULL AND {found} IS DISTINCT FROM member_id",
    )


def _add_new(session: Session, context: Context) -> int:
    """Insert the members nobody knew, after locking those that are known, in id order."""
    run(
        session,
        "SELECT id FROM members WHERE id IN (SELECT member_id FROM people) ORDER BY id FOR UPDATE",
    )
    run(
        session,
        "UPDATE people SET is_new = true,"
        " member_id = nextval(pg_get_serial_sequence('members', 'id')) WHERE member_id IS NULL",
    )
    _deal_cards(session)
    return run(
        session,
        insert_sql(
            Member,
            _MEMBER_VALUES,
            "FROM people p JOIN cards k USING (member_id) WHERE p.is_new ORDER BY p.member_id",
        ),
        brand_id=context.brand_id,
        zone=context.zone,
        now=context.now,
    )


def _deal_cards(session: Session) -> None:
    """A random card number for each new member, from the house's own source of codes."""
    run(session, "CREATE TEMP TABLE cards (member_id bigint, card_no text) ON COMMIT DROP")
    new = session.execute(text("SELECT member_id FROM people WHERE is_new")).scalars().all()
    if new:
        session.execute(
            text("INSERT INTO cards VALUES (:member_id, :card_no)"),
            [{"member_id": member_id, "card_no": new_code()} for member_id in new],
        )


def _update_known(session: Session) -> None:
    """Change what a row says differently; what changed is remembered in `changed`."""
    run(session, "CREATE TEMP TABLE changed (member_id bigint) ON COMMIT DROP")
    run(
        session,
        "WITH done AS (UPDATE members m SET external_id = p.external_id, mobile = p.mobile,"
        f" name = p.name, birthday_on = {_BIRTHDAY},"
        " shop_id = coalesce(p.shop_code_row, m.shop_id)"
        " FROM people p WHERE m.id = p.member_id AND NOT p.is_new"
        " AND (m.external_id, m.mobile, m.name, m.birthday_on, m.shop_id) IS DISTINCT FROM"
        f" (p.external_id, p.mobile, p.name, {_BIRTHDAY},"
        " coalesce(p.shop_code_row, m.shop_id)) RETURNING m.id)"
        " INSERT INTO changed SELECT id FROM done",
    )


MEMBERS = Kind("members", COLUMNS, keys=("external_id",), land=land, touched=members_touched)
