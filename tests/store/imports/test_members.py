"""Members come in with all that is theirs, once, and never over what they said themselves."""

from dataclasses import replace
from datetime import date, datetime

import pytest

from store import ledger, points, profile, relations
from store.db import Database
from tests.builders import a_member
from tests.store.imports.bringing import ACCOUNTS, MEMBER_HEADER, Bring, Look, member

pytestmark = pytest.mark.usefixtures("shop_floor")
_WHOLE = member(
    "M1",
    birthday="1990/2/28",
    shop_code="S1",
    guide_userid="wang",
    joined_on="2025-05-06",
    points="120",
    tags="年龄:35–44 岁|老友",
    unionid="union-1",
    openid="open-1",
    external_userid="wm-1",
    consents="wechat_service:marketing|wecom_broadcast:care",
)


def test_member_comes_with_home_guide_ids_tags_consents_and_points(
    bring: Bring, look: Look
) -> None:
    report = bring("members", MEMBER_HEADER + _WHOLE)

    assert (report.added, report.refused) == (1, 0)
    assert look(
        "SELECT m.mobile, m.birthday_on, s.code, m.joined_at AT TIME ZONE 'Asia/Shanghai'::text"
        " = '2025-05-06' FROM members m JOIN shops s ON s.id = m.shop_id"
    ) == [("13800138000", date(1990, 2, 28), "S1", True)]
    assert look("SELECT channel, account, outside_id, unionid FROM identities ORDER BY 1") == [
        ("wechat", "brand", "open-1", "union-1"),
        ("wecom", "guides", "wm-1", "union-1"),
    ]
    owned = "SELECT g.userid FROM ownerships o JOIN guides g ON g.id = o.guide_id"
    assert look(owned) == [("wang",)]
    assert look("SELECT external_userid, member_id IS NOT NULL FROM friendships") == [
        ("wm-1", True)
    ]
    assert look("SELECT t.code, t.group_name FROM member_tags JOIN tags t ON t.id = tag_id") == [
        ("年龄:35–44 岁", "年龄"),
        ("老友", ""),
    ]
    assert look("SELECT channel, purpose, source FROM consents ORDER BY 1") == [
        ("wechat_service", "marketing", "import"),
        ("wecom_broadcast", "care", "import"),
    ]
    assert look("SELECT reason, source_id, points FROM points_entries") == [("import", "M1", 120)]
    assert look("SELECT remaining, expires_at::date FROM points_lots") == [(120, date(2027, 3, 1))]


def test_same_file_again_changes_nothing(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + _WHOLE)

    again = bring("members", MEMBER_HEADER + _WHOLE)

    assert (again.added, again.updated, again.unchanged) == (0, 0, 1)
    assert look(
        "SELECT (SELECT count(*) FROM members), (SELECT count(*) FROM identities),"
        " (SELECT count(*) FROM ownerships), (SELECT count(*) FROM friendships),"
        " (SELECT count(*) FROM consents), (SELECT sum(points) FROM points_entries)"
    ) == [(1, 2, 1, 1, 2, 120)]


def test_changed_name_and_guide_are_taken_over_and_counted(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member(guide_userid="wang", birthday="1990-01-01"))

    report = bring("members", MEMBER_HEADER + member(name="李蕾", guide_userid="zhao"))

    assert (report.added, report.updated) == (0, 1)
    assert look("SELECT name, birthday_on FROM members") == [("李蕾", date(1990, 1, 1))]
    assert look(
        "SELECT g.userid, o.until IS NULL FROM ownerships o JOIN guides g ON g.id = o.guide_id"
        " ORDER BY o.id"
    ) == [("wang", False), ("zhao", True)]


def test_member_who_joined_through_the_bot_is_found_by_mobile(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member("M1"))
    look("UPDATE members SET external_id = NULL RETURNING id")

    report = bring("members", MEMBER_HEADER + member("M7"))

    assert (report.added, report.updated) == (0, 1)
    assert look("SELECT external_id, mobile FROM members") == [("M7", "13800138000")]


def test_visitor_who_follows_the_account_becomes_the_member(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member("M1", openid="open-1"))
    look("UPDATE members SET external_id = NULL, mobile = NULL RETURNING id")

    report = bring("members", MEMBER_HEADER + member("M7", "13900139000", openid="open-1"))

    assert (report.added, report.updated) == (0, 1)
    assert look("SELECT external_id, mobile FROM members") == [("M7", "13900139000")]


def test_mobile_of_another_member_is_refused_without_being_shown(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member("M1"))

    report = bring("members", MEMBER_HEADER + member("M2"))

    assert report.complaints == ("Row 2: mobile already belongs to another member.",)
    assert look("SELECT external_id FROM members") == [("M1",)]


def test_openid_of_another_member_is_refused(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member("M1", openid="open-1"))

    report = bring("members", MEMBER_HEADER + member("M2", "13900139000", openid="open-1"))

    assert report.refused == 1
    assert look("SELECT external_id FROM members") == [("M1",)]


def test_one_mobile_in_two_rows_lands_once(bring: Bring) -> None:
    report = bring("members", MEMBER_HEADER + member("M1") + member("M2"))

    assert (report.added, report.complaints) == (1, ("Row 3: The same mobile as row 2.",))


@pytest.mark.parametrize(
    "written",
    ["13800138000", "+86 138 0013 8000", "86-138-0013-8000", "13800138000.0", "'13800138000"],
)
def test_mobiles_are_read_as_people_write_them(bring: Bring, look: Look, written: str) -> None:
    bring("members", MEMBER_HEADER + member(mobile=written))

    assert look("SELECT mobile FROM members") == [("13800138000",)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"birthday": "2025-02-30"}, 'birthday "2025-02-30" is not a date such as 2026-03-01.'),
        ({"birthday": "3/1/2026"}, 'birthday "3/1/2026" is not a date such as 2026-03-01.'),
        ({"shop_code": "S9"}, 'shop_code "S9" is not a known shop; import the shops first.'),
        ({"guide_userid": "x"}, 'guide_userid "x" is not a known guide; import the guides first.'),
        ({"points": "-5"}, 'points "-5" is not a whole number such as 12.'),
        ({"name": ""}, "name is empty."),
        (
            {"mobile": "1.38E+10"},
            "mobile is not an 11-digit mobile number (format the column as text in Excel).",
        ),
        ({"tags": "a||b"}, "tags is not a list such as group:name|group:name."),
        (
            {"consents": "fax:marketing"},
            "consents is not a list such as wechat_service:marketing|wecom_broadcast:care.",
        ),
    ],
)
def test_cell_that_says_nothing_is_refused_by_name(
    bring: Bring, cells: dict[str, str], said: str
) -> None:
    report = bring("members", MEMBER_HEADER + member(**cells))

    assert report.complaints == (f"Row 2: {said}",)


def test_outside_id_without_an_account_is_refused_with_the_way_out(bring: Bring) -> None:
    report = bring(
        "members",
        MEMBER_HEADER + member(openid="open-1"),
        options=replace(ACCOUNTS, wechat_account=None),
    )

    assert report.complaints == ("Row 2: openid needs its account: name it with --account.",)


@pytest.mark.parametrize(
    "mobile", ["13800138000", "138 0013 8000", "138-0013-8000", "1380-0138-000"]
)
def test_mobile_in_the_wrong_column_is_never_shown_whole(bring: Bring, mobile: str) -> None:
    report = bring("members", MEMBER_HEADER + member(birthday=mobile, shop_code=mobile, points="x"))

    assert report.refused == 1
    said = "".join(filter(str.isdigit, report.complaints[0].replace("Row 2", "")))
    assert "13800138000" not in said
    assert "****" in report.complaints[0]


def test_opt_out_of_the_member_outlives_a_later_import(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + _WHOLE)
    look("UPDATE consents SET is_granted = false, source = 'chat' RETURNING id")

    bring("members", MEMBER_HEADER + _WHOLE)

    assert look("SELECT DISTINCT is_granted, source FROM consents") == [(False, "chat")]


def test_opening_points_are_booked_once_whatever_a_later_file_says(
    bring: Bring, look: Look
) -> None:
    bring("members", MEMBER_HEADER + member(points="100"))

    bring("members", MEMBER_HEADER + member(points="900"))

    assert look("SELECT points FROM points_entries") == [(100,)]
    assert look("SELECT remaining FROM points_lots") == [(100,)]


def test_opening_points_repay_a_debt_once(bring: Bring, database: Database, now: datetime) -> None:
    with database.transaction() as session:
        li = a_member(session, mobile="13800138000")
        earned = points.earn(session, li.id, 50, reason="order", source_id="1", now=now)
        points.spend(session, li.id, 50, reason="till", source_id="1", now=now)
        points.reverse(session, earned.id, 50, reason="refund", source_id="1", now=now)

    bring("members", MEMBER_HEADER + member(points="120"))

    with database.transaction() as session:
        assert points.balance(session, li.id) == points.spendable(session, li.id, now) == 70
        assert ledger.debt(session, li.id) == 0


def test_guide_who_has_left_takes_nobody_from_who_took_over(
    bring: Bring, look: Look, database: Database, now: datetime
) -> None:
    bring("members", MEMBER_HEADER + _WHOLE)
    look("UPDATE guides SET status = 'left' WHERE userid = 'wang'")
    ((li, zhao),) = look("SELECT m.id, g.id FROM members m, guides g WHERE g.userid = 'zhao'")
    with database.transaction() as session:
        relations.own(session, li, zhao, now=now)

    report = bring("members", MEMBER_HEADER + _WHOLE)

    assert (report.unchanged, report.refused) == (1, 0)
    with database.transaction() as session:
        guide = relations.guide_of(session, li)
    assert guide is not None
    assert guide.userid == "zhao"


def test_contact_that_was_ended_stays_ended(
    bring: Bring, look: Look, database: Database, now: datetime
) -> None:
    bring("members", MEMBER_HEADER + _WHOLE)
    ((wang,),) = look("SELECT id FROM guides WHERE userid = 'wang'")
    with database.transaction() as session:
        relations.unfriend(session, wang, "wm-1", now=now)

    bring("members", MEMBER_HEADER + _WHOLE)

    assert look("SELECT until IS NULL FROM friendships") == [(False,)]


def test_birthday_that_the_member_set_outlives_a_later_import(
    bring: Bring, look: Look, database: Database, now: datetime
) -> None:
    bring("members", MEMBER_HEADER + _WHOLE)
    ((li,),) = look("SELECT id FROM members")
    with database.transaction() as session:
        profile.set_birthday(session, li, date(1990, 3, 8), today=now.date(), now=now)

    report = bring("members", MEMBER_HEADER + _WHOLE)

    assert report.unchanged == 1
    assert look("SELECT birthday_on FROM members") == [(date(1990, 3, 8),)]


def test_row_with_an_open_quotation_mark_swallows_no_other(bring: Bring, look: Look) -> None:
    rows = member("M1"), member("M2", "13900139000"), member("M3", "13700137000")

    report = bring("members", MEMBER_HEADER + rows[0] + rows[1].replace("李雷", '"李雷') + rows[2])

    assert report.complaints == (
        "Row 3: A quotation mark is not closed: the rest of the file is inside it.",
    )
    assert look("SELECT external_id FROM members") == [("M1",)]


def test_file_without_the_optional_columns_is_read(bring: Bring, look: Look) -> None:
    header = "external_id,mobile,name,birthday,shop_code,guide_userid,joined_on,points,tags\n"

    report = bring("members", header + "M1,13800138000,李雷,,,,,,\n")

    assert report.added == 1
    assert look("SELECT count(*) FROM identities") == [(0,)]
