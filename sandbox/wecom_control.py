"""The control API of WeCom's people, under `/sandbox/wecom/`: a test or a demo moves them.

Each act answers when the callbacks that follow from it have been pushed.
"""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field

from sandbox import broadcasts, transfers, wecom_acts
from sandbox.control import ThePusher, TheWorld
from sandbox.forms import Form
from sandbox.register import find_customer, find_guide
from sandbox.state import World
from sandbox.talk import Pusher
from sandbox.wecom_acts import Noted, NoWay
from store import clock

router = APIRouter(prefix="/sandbox/wecom", tags=["sandbox control: WeCom"])
Json = dict[str, Any]


class PairForm(Form):
    """A guide and a customer."""

    userid: str
    external_userid: str


class AddForm(PairForm):
    """They become contacts; `half` until the guide agrees."""

    state: str = ""
    half: bool = False


class ScanForm(Form):
    """A customer scans the code of a contact way."""

    config_id: str
    external_userid: str


class EditForm(PairForm):
    """What the guide notes; what is left out stays."""

    remark: str | None = None
    mobiles: list[str] | None = None
    tags: list[str] | None = None


class EndForm(PairForm):
    """One of the two ends it."""

    by: Literal["guide", "customer"]


class CustomerForm(Form):
    """A customer."""

    external_userid: str


class GuideForm(Form):
    """A guide."""

    userid: str


class BroadcastForm(GuideForm):
    """A guide's own broadcast, made and confirmed in the client."""

    external_userids: list[str]
    text: str = Field(min_length=1)


class TagForm(Form):
    """A tag made in the console."""

    group: str
    name: str


class TagIdForm(Form):
    """A tag deleted in the console."""

    tag_id: str


@router.post("/scan")
async def scan(form: ScanForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A customer scans a code."""
    now = clock.now()
    with world.wecom.lock:
        try:
            userid = wecom_acts.scan(world, form.config_id, form.external_userid, now=now)
        except NoWay as none:
            raise HTTPException(404, "This code leads to nobody.") from none
    return {"userid": userid, "pushed": await _carry(world, pusher, now)}


@router.post("/add")
async def add(form: AddForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A customer and a guide become contacts."""
    now = clock.now()
    facts: Json = {"state": form.state, "is_half": form.half}
    with world.wecom.lock:
        code = wecom_acts.add(world, form.userid, form.external_userid, **facts, now=now)
    return {"welcome_code": code, "pushed": await _carry(world, pusher, now)}


@router.post("/edit")
async def edit(form: EditForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A guide notes something of a customer."""
    now = clock.now()
    with world.wecom.lock:
        noted = Noted(form.remark, form.mobiles, form.tags)
        wecom_acts.edit(world, form.userid, form.external_userid, noted, now=now)
    return {"pushed": await _carry(world, pusher, now)}


@router.post("/end")
async def end(form: EndForm, world: TheWorld, pusher: ThePusher) -> Json:
    """One of the two deletes the other."""
    now = clock.now()
    act = wecom_acts.delete if form.by == "guide" else wecom_acts.leave
    with world.wecom.lock:
        act(world, form.userid, form.external_userid, now=now)
    return {"pushed": await _carry(world, pusher, now)}


@router.post("/refuse")
async def refuse(form: CustomerForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A customer refuses to be handed on."""
    now = clock.now()
    find_customer(world, form.external_userid)
    with world.wecom.lock:
        transfers.refuse(world, form.external_userid, now)
    return {"pushed": await _carry(world, pusher, now)}


@router.post("/resign")
async def resign(form: GuideForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A guide leaves the corp."""
    now = clock.now()
    with world.wecom.lock:
        wecom_acts.resign(world, form.userid, now=now)
    return {"pushed": await _carry(world, pusher, now)}


@router.post("/broadcast")
async def broadcast(form: BroadcastForm, world: TheWorld) -> Json:
    """A guide sends a broadcast that no app has made."""
    find_guide(world, form.userid)
    with world.wecom.lock:
        made = broadcasts.by_hand(
            world, form.userid, form.external_userids, form.text, now=clock.now()
        )
    return {"msgid": made.msgid}


@router.post("/tags")
async def make_tag(form: TagForm, world: TheWorld, pusher: ThePusher) -> Json:
    """Somebody makes a tag in the console."""
    now = clock.now()
    with world.wecom.lock:
        tag_id = wecom_acts.make_tag(world, form.group, form.name, now=now)
    return {"tag_id": tag_id, "pushed": await _carry(world, pusher, now)}


@router.post("/tags/drop")
async def drop_tag(form: TagIdForm, world: TheWorld, pusher: ThePusher) -> Json:
    """Somebody deletes a tag in the console."""
    now = clock.now()
    with world.wecom.lock:
        wecom_acts.drop_tag(world, form.tag_id, now=now)
    return {"pushed": await _carry(world, pusher, now)}


async def _carry(world: World, pusher: Pusher, now: datetime) -> int:
    with world.wecom.lock:
        pushes, world.wecom.pushes = world.wecom.pushes, []
    for push in pushes:
        await pusher.carry(push, now=now)
    return len(pushes)
