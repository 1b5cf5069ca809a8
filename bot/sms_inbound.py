"""The SMS provider's door, without HTTP: what became of a message, and what somebody answered.

`POST /sms/{account}` takes {"id", "kind": "report", "ref", "message", "status", "reason"} or
{"id", "kind": "reply", "from", "text"}, signed as our own requests are (bot/channels/sms.py). `ref`
is the `id` that we sent, `message` the provider's own. A repeat of an `id` changes nothing, so that
an old request that is played again is harmless.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from psycopg.errors import LockNotAvailable
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, or_, select

from bot import delivery_reports
from bot.addresses import close_address
from bot.channels.sms import Sms
from bot.envelope import check_fresh
from bot.fields import BadCallback
from bot.inbox import Busy, Desk
from content import sms_words
from fatigue import preferences
from store import accounts, inbound, members
from store.inbound import Heard, InboundMessage, InboundState
from store.touches import Channel, Evidence, Touch, TouchState

SOURCE = "sms"
_TAKEN = '{"code": "OK"}'
# What a provider may say of a number for good; anything else is the network's fault.
_GONE = {"NO_SUCH_NUMBER": "recipient_gone", "OPTED_OUT": "opted_out"}
_REPORTED = frozenset({TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN})
_Id = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
_Name = Annotated[str, Field(pattern=r"^[ -~]{0,200}$")]
# PostgreSQL keeps no NUL, and an answer that says no must not be lost for one.
_Words = Annotated[str, AfterValidator(lambda words: words.replace("\0", ""))]


class SmsReport(BaseModel):
    """What became of a message."""

    id: _Id
    kind: Literal["report"]
    ref: _Name = ""
    message: _Name = ""
    status: Literal["delivered", "failed"]
    reason: _Name = ""


class SmsReply(BaseModel):
    """What somebody answered from a mobile."""

    id: _Id
    kind: Literal["reply"]
    mobile: str = Field(alias="from", pattern=r"^1[0-9]{10}$", repr=False)
    text: _Words = Field(max_length=1000)


_FORM: TypeAdapter[SmsReport | SmsReply] = TypeAdapter(
    Annotated[SmsReport | SmsReply, Field(discriminator="kind")]
)


def receive(  # noqa: PLR0913 -- what came in, and whom it is checked against
    desk: Desk,
    sms: Sms | None,
    code: str,
    *,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> str:
    """Take one report or reply, once; gives the body that says so, when it is done.

    Refuses with `BadCallback`, `UnknownAccount`, and with `Busy` what should be sent again.
    """
    if sms is None or not sms.knows(headers, path, body):
        raise BadCallback("The provider has not signed this.")
    check_fresh(headers.get("x-sms-time", ""), now, desk.fresh)
    try:
        form = _FORM.validate_json(body)
    except ValidationError:
        raise BadCallback("The body is neither a report nor a reply.") from None
    try:
        _take(desk, code, form, now)
    except OperationalError as fault:
        if isinstance(fault.orig, LockNotAvailable):
            raise Busy("The rows are locked; try again.") from None
        raise
    return _TAKEN


def _take(desk: Desk, code: str, form: SmsReport | SmsReply, now: datetime) -> None:
    with desk.database.transaction() as session:
        session.execute(text(f"SET LOCAL lock_timeout = {int(desk.wait_ms)}"))
        account = accounts.by_code(session, code)
        # The sender is known by the member alone, so that no mobile stands here.
        heard = Heard(account.id, f"sms-{form.kind}-{form.id}", "", f"sms_{form.kind}", _kept(form))
        row = inbound.hear(session, heard, now=now)
        if row.state is not InboundState.RECEIVED:
            return
        if isinstance(form, SmsReport):
            _report(session, form, now)
        else:
            _reply(session, row, form, now)
        inbound.close(session, row, {}, state=InboundState.ANSWERED, handled_ms=0.0, now=now)


def _kept(form: SmsReport | SmsReply) -> dict[str, str]:
    if isinstance(form, SmsReport):
        return {"status": form.status, "reason": form.reason}
    return {"content": form.text}


def _report(session: Session, form: SmsReport, now: datetime) -> None:
    """A report on a code, or on a touch that is over or was told of before, changes nothing."""
    touch = _touch(session, form)
    is_known = touch is not None and touch.evidence is Evidence.PLATFORM
    if touch is None or is_known or touch.state not in _REPORTED:
        return
    reason = _GONE.get(form.reason, "platform_failed") if form.status == "failed" else ""
    if form.reason in _GONE and reason:
        close_address(session, touch, now=now)
    message = form.message or touch.provider_id or ""
    delivery_reports.tell(session, touch, provider_id=message, failure=reason, now=now)


def _touch(session: Session, form: SmsReport) -> Touch | None:
    """The touch by the key that we gave, or by the provider's id; locked with its member."""
    names = [col(Touch.key) == form.ref] if form.ref else []
    names += [col(Touch.provider_id) == form.message] if form.message else []
    if not names:
        return None
    query = select(Touch).where(Touch.channel == Channel.SMS, or_(*names))
    found = session.exec(query.order_by(col(Touch.key) != form.ref).limit(1)).first()
    if found is None:
        return None
    members.lock(session, found.member_id)
    session.refresh(found, with_for_update=True)
    return found


def _reply(session: Session, row: InboundMessage, form: SmsReply, now: datetime) -> None:
    """Who answers that they want no more gets no more by SMS; the other channels stay."""
    member = members.by_mobile(session, form.mobile)
    if member is None:
        return
    row.member_id = members.lock(session, member.id).id
    if sms_words.says_stop(form.text):
        preferences.stop(session, row.member_id, reason=SOURCE, channel=Channel.SMS, now=now)
