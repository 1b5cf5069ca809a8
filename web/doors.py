"""The callback doors of WeChat and WeCom: HTTP in, bytes out; everything else is the bot's."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot.envelope import BODY_LIMIT, BadCallback
from bot.wechat import inbound as wechat
from bot.wecom import inbound as wecom
from web.deps import PartsDep

router = APIRouter()
