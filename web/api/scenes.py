"""`/api/v1/scenes`: QR codes of shops, guides and campaigns, and how many came by them."""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from store import scene_subjects, scenes
from store.accounts import Account, Platform
from store.scene_subjects import SceneKind
from store.scenes import LONGEST_DAYS, SceneState
from web.api.batches import MAX_ITEMS, BatchAnswer, each, read
from web.api.keys import get_source
from web.deps import NowDep, SessionDep
from web.scene_prints import MEDIA, Chosen, Form, drawn, listed

router = APIRouter(tags=["scenes"], dependencies=[Depends(get_source)])


class SceneForm(BaseModel):
    """A code to have made.

    `key` is the shop's code, the guide's userid or the campaign's token; without `life_days` the
    code is good for ever. A code of `wecom` makes whoever scans it a contact of the guide, or of
    one of the shop's guides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SceneKind
    key: str = Field(min_length=1, max_length=64)
    life_days: int | None = Field(default=None, ge=1, le=LONGEST_DAYS)
    platform: Platform = Platform.WECHAT

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        """A code of WeCom has guides behind it, and no end."""
        if self.platform is Platform.WECOM and self.kind is SceneKind.CAMPAIGN:
            raise ValueError("A code of WeCom stands for a guide or a shop.")
        if self.platform is Platform.WECOM and self.life_days is not None:
            raise ValueError("A code of WeCom is good for ever; leave life_days out.")
        return self

    @property
    def external_id(self) -> str:
        """What the answer of a batch calls it by."""
        return self.key


class SceneBatch(BaseModel):
    """Codes to have made; each item is a `SceneForm`, checked by itself."""

    scenes: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        examples=[
            [
                {"kind": "shop", "key": "S330"},
                {"kind": "guide", "key": "WangFang"},
                {"kind": "campaign", "key": "Zk3rT0mQx1uYb7Nd2Wc8aA", "life_days": 30},
            ]
        ],
    )


class SceneAnswer(BaseModel):
    """One code. `url` is what the QR code holds, once `state` is `ready`; times are UTC."""

    model_config = ConfigDict(from_attributes=True)

    token: str
    kind: SceneKind
    key: str
    title: str
    state: SceneState
    failure: str
    url: str
    life_days: int | None
    expires_at: datetime | None
    follows: int
    scans: int


class ScenePage(BaseModel):
    """Codes in the order they were asked for; `next` goes into `after`, empty at the end."""

    items: list[SceneAnswer]
    next: str


@router.post("/scenes", summary="Have QR codes made")
def want_scenes(batch: SceneBatch, session: SessionDep, now: NowDep) -> BatchAnswer:
    """Idempotent by `kind` and `key`: a repeat answers `known` and makes nothing.

    WeChat makes the codes right after the answer; until then their `state` is `wanted`. A code that
    lapsed or was refused is made anew.
    """

    def want(form: SceneForm) -> str:
        about = scene_subjects.subject(session, form.kind, form.key)
        wanted = scenes.want(
            session, about, life_days=form.life_days, platform=form.platform, now=now
        )
        return "created" if wanted.is_new else "known"

    return each(session, read(batch.scenes, SceneForm), want)


@router.get("/scenes", summary="List QR codes")
def list_scenes(
    session: SessionDep,
    kind: SceneKind | None = None,
    platform: Platform = Platform.WECHAT,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_ITEMS)] = 100,
) -> ScenePage:
    """The codes with how many followed and scanned through each."""
    prints, more = listed(session, Chosen(kind, after=after, platform=platform), limit=limit)
    return ScenePage(items=[SceneAnswer.model_validate(one) for one in prints], next=more)


@router.get(
    "/scenes/{token}.{form}",
    summary="The picture of a QR code",
    response_class=Response,
    responses={200: {"content": {media: {} for media in MEDIA.values()}}},
)
def scene_picture(session: SessionDep, token: str, form: Form) -> Response:
    """PNG or SVG, ready to print; refused with `scene_not_ready` until WeChat has made it.

    For a code of WeCom this leads on to the picture that WeCom keeps.
    """
    scene = scenes.ready(session, token)
    url = scene.url
    if session.get_one(Account, scene.account_id).platform is Platform.WECOM:
        return RedirectResponse(url)
    return Response(drawn(url, form), media_type=MEDIA[form])
