"""What the platform says later of a message that it took: it arrived, or it did not (design.md §9).

A template message is known by the id that its call gave. The id of a notice comes only with its
report (wechat-oa.md §6.2), and a report may overtake the answer to its call. Such a report is about
the one message of that kind to the member that has no id yet. Of several it can only be good news
of one that the platform took: of what nobody knows, nothing is guessed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, or_, select

from bot.messages import Report
from fatigue import gate
from guide_tasks import progress
from store import letters
from store.members import Identity, IdentityChannel
from store.touches import Channel, Evidence, Touch, TouchState

_TEMPLATE, _NOTICE = "templatesendjobfinish", "subscribe_msg_sent_event"
_CHANNELS = {_TEMPLATE: Channel.WECHAT_TEMPLATE, _NOTICE: Channel.WECHAT_NOTICE}
# wechat-oa.md §2.3, blanks removed.
_FAILURES = {"failed:userblock": "blocked_by_member", "failed:systemfailed": "platform_failed"}
_FINE = frozenset({"success", "0"})
_OPEN = (TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN)
# Reports come within seconds; what is older had lost its report.
_SPAN = timedelta(days=1)


def heard(session: Session, app_id: str, openid: str, report: Report, *, now: datetime) -> None:
    """Settle the touch that a report is about; one about nothing of ours changes nothing."""
    channel = _CHANNELS.get(report.kind)
    msgid = report.facts.get("MsgID", "")
    said = report.facts.get("Status") or report.facts.get("ErrorCode") or ""
    failure = "" if said in _FINE else _FAILURES.get(said, "platform_failed")
    if channel is None or not msgid:
        return
    likely = _likely(session, channel, app_id, openid, msgid, now)
    touch = _meant(likely, msgid, is_good=not failure)
    if touch is not None:
        tell(session, touch, provider_id=msgid, failure=failure, now=now)


def tell(
    session: Session, touch: Touch, *, provider_id: str, failure: str = "", now: datetime
) -> None:
    """The platform's own word on a touch: it arrived, or with a `failure` it did not.

    What was taken for sent is taken back with it. A failure stands, whatever comes after it.
    """
    if gate.locked(session, [touch.id])[touch.id].state is TouchState.FAILED:
        return
    settled = gate.settle(
        session,
        touch.id,
        TouchState.FAILED if failure else TouchState.SENT,
        provider_id=provider_id,
        evidence=None if failure else Evidence.PLATFORM,
        failure=failure or None,
        now=now,
    )
    letters.settle(session, [touch.id], now=now)
    progress.touch_settled(session, settled, now=now)


def _meant(likely: Sequence[Touch], msgid: str, *, is_good: bool) -> Touch | None:
    """The touch of these, the oldest first, that a report is about, if that is beyond doubt."""
    known = [touch for touch in likely if touch.provider_id == msgid]
    if known or len(likely) == 1:
        return [*known, *likely][0]
    taken = [touch for touch in likely if touch.state is TouchState.SENT]
    return taken[0] if taken and is_good else None


def _likely(
    session: Session, channel: Channel, app_id: str, openid: str, msgid: str, now: datetime
) -> Sequence[Touch]:
    query = (
        select(Touch)
        .join(Identity, col(Identity.member_id) == Touch.member_id)
        .where(
            Identity.channel == IdentityChannel.WECHAT,
            Identity.account == app_id,
            Identity.outside_id == openid,
            Touch.channel == channel,
            or_(
                col(Touch.provider_id) == msgid,
                col(Touch.provider_id).is_(None)
                & col(Touch.state).in_(_OPEN)
                & (col(Touch.fenced_at) > now - _SPAN),
            ),
        )
        .order_by(col(Touch.fenced_at), col(Touch.id))
    )
    return session.exec(query).all()
