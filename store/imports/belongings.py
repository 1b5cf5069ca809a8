"""What comes with an imported member: outside ids, own guide, friendship, consents, tags, points.

All read the temporary table `people`; known members that changed are noted in `changed`.
"""

from datetime import timedelta

from sqlalchemy import text

from store import ledger
from store.db import Session
from store.imports.kinds import Context
from store.imports.staging import run

_POINTS_LIFE = timedelta(days=365)
_TEXT_VERSION = "import"
# Whose lots hold more than their entries come to.
_IN_DEBT = text("""
SELECT p.member_id FROM people p
WHERE p.points > 0 AND NOT p.is_new
AND (SELECT sum(points) FROM points_entries e WHERE e.member_id = p.member_id)
    < (SELECT sum(remaining) FROM points_lots l WHERE l.member_id = p.member_id AND remaining > 0)
ORDER BY p.member_id
""")


def write(session: Session, context: Context) -> None:
    """Write everything that comes with the members of one file."""
    _identities(session, "wechat", "openid", context.wechat_account, context)
    _identities(session, "wecom", "external_userid", context.wecom_account, context)
    _pass_over_departed(session)
    _ownerships(session, context)
    _friendships(session, context)
    _consents(session, context)
    _tags(session, context)
    _points(session, context)


def _noting(done: str) -> str:
    """SQL: do, and note the known members among those it touched."""
    return (
        f"WITH done AS ({done}) INSERT INTO changed"
        " SELECT d.member_id FROM done d JOIN people p USING (member_id) WHERE NOT p.is_new"
    )


def _identities(
    session: Session, channel: str, cell: str, account: str | None, context: Context
) -> None:
    if account is None:
        return
    run(
        session,
        _noting(
            "INSERT INTO identities"
            " (member_id, channel, account, outside_id, unionid, is_reachable, created_at)"
            f" SELECT member_id, :channel, :account, {cell}, unionid, true, :now"
            f" FROM people WHERE {cell} IS NOT NULL"
            " ON CONFLICT (channel, account, outside_id) DO UPDATE SET unionid = excluded.unionid"
            " WHERE identities.unionid IS NULL AND excluded.unionid IS NOT NULL RETURNING member_id"
        ),
        channel=channel,
        account=account,
        now=context.now,
    )


def _pass_over_departed(session: Session) -> None:
    """A guide who has left is given nobody, and takes nobody from whoever took over."""
    # A guide who is leaving right now is waited for, as `relations.own` does.
    run(
        session,
        "SELECT id FROM guides WHERE id IN (SELECT guide_userid_row FROM people)"
        " ORDER BY id FOR KEY SHARE",
    )
    run(
        session,
        "UPDATE people p SET guide_userid_row = NULL FROM guides g"
        " WHERE g.id = p.guide_userid_row AND g.status = 'left'",
    )


def _ownerships(session: Session, context: Context) -> None:
    """The own guide; a former one ends now. A row without a guide leaves the ownership alone."""
    run(
        session,
        "UPDATE ownerships o SET until = :now FROM people p WHERE o.member_id = p.member_id"
        " AND o.until IS NULL AND o.guide_id <> p.guide_userid_row",
        now=context.now,
    )
    run(
        session,
        _noting(
            "INSERT INTO ownerships (member_id, guide_id, since)"
            " SELECT member_id, guide_userid_row, :now FROM people"
            " WHERE guide_userid_row IS NOT NULL"
            " ON CONFLICT (member_id) WHERE until IS NULL DO NOTHING RETURNING member_id"
        ),
        now=context.now,
    )


def _friendships(session: Session, context: Context) -> None:
    """Contacts that nobody wrote down yet: one that was ended since stays ended."""
    run(
        session,
        _noting(
            "INSERT INTO friendships (guide_id, external_userid, member_id, since)"
            " SELECT guide_userid_row, external_userid, member_id, :now FROM people p"
            " WHERE guide_userid_row IS NOT NULL AND external_userid IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM friendships f WHERE f.member_id = p.member_id"
            " AND f.guide_id = p.guide_userid_row AND f.external_userid = p.external_userid"
            " AND f.until IS NOT NULL)"
            " ON CONFLICT (guide_id, external_userid) WHERE until IS NULL"
            " DO UPDATE SET member_id = excluded.member_id"
            " WHERE friendships.member_id IS NULL RETURNING member_id"
        ),
        now=context.now,
    )


def _consents(session: Session, context: Context) -> None:
    """Consents that nobody stated yet: an import never overrides what the member said."""
    run(
        session,
        _noting(
            "INSERT INTO consents (member_id, channel, purpose, is_granted, text_version, source,"
            " stated_at) SELECT DISTINCT p.member_id, split_part(w, ':', 1), split_part(w, ':', 2),"
            " true, :version, 'import', cast(:now AS timestamptz)"
            " FROM people p, unnest(string_to_array(p.consents, '|')) w"
            " WHERE NOT EXISTS (SELECT FROM consents c WHERE c.member_id = p.member_id"
            " AND c.channel IN ('', split_part(w, ':', 1)) AND c.purpose = split_part(w, ':', 2))"
            " RETURNING member_id"
        ),
        version=_TEXT_VERSION,
        now=context.now,
    )


def _tags(session: Session, context: Context) -> None:
    """Tags are made when first named; their code is the whole word, `group:name`."""
    words = "unnest(string_to_array(p.tags, '|')) w"
    run(
        session,
        "INSERT INTO tags (code, group_name, name) SELECT DISTINCT w,"
        " CASE WHEN w LIKE '%:%' THEN split_part(w, ':', 1) ELSE '' END,"
        " CASE WHEN w LIKE '%:%' THEN split_part(w, ':', 2) ELSE w END"
        f" FROM people p, {words} ON CONFLICT (code) DO NOTHING",
    )
    run(
        session,
        _noting(
            "INSERT INTO member_tags (member_id, tag_id, source, tagged_at)"
            " SELECT DISTINCT p.member_id, t.id, 'given', cast(:now AS timestamptz)"
            f" FROM people p, {words} JOIN tags t ON t.code = w"
            " ON CONFLICT DO NOTHING RETURNING member_id"
        ),
        now=context.now,
    )


def _points(session: Session, context: Context) -> None:
    """The opening balance, booked once per external id; a known member's debt is repaid first."""
    run(
        session,
        _noting(
            "INSERT INTO points_entries (member_id, kind, points, reason, source_id, created_at)"
            " SELECT member_id, 'adjust', points, 'import', external_id, :now FROM people"
            " WHERE points > 0 ON CONFLICT (reason, source_id) DO NOTHING RETURNING member_id"
        ),
        now=context.now,
    )
    run(
        session,
        "INSERT INTO points_lots (entry_id, member_id, points, remaining, available_at, expires_at)"
        " SELECT e.id, e.member_id, e.points, e.points, :now, :until FROM people p"
        " JOIN points_entries e ON e.reason = 'import' AND e.source_id = p.external_id"
        " WHERE NOT EXISTS (SELECT FROM points_lots l WHERE l.entry_id = e.id)",
        now=context.now,
        until=context.now + _POINTS_LIFE,
    )
    for member_id in session.execute(_IN_DEBT).scalars().all():
        ledger.repay(session, member_id, context.now)
