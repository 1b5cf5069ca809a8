"""A stand-in for `open.weixin.qq.com`: the page that sends a person back with a code
(wechat-oa.md §9, wecom.md §6.1).

Who is logged in on this "phone" stands in the cookie `sandbox_person`, set by `/sandbox/be`. An
appid that begins with `ww` is the corp: its members come back as a userid. Others are official
accounts: people come back as openid.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sandbox.ids import openid
from sandbox.state import Code, World

PERSON_COOKIE = "sandbox_person"
SNAPSHOT_COOKIE = "sandbox_snapshot"
_CODE_LIFE = timedelta(minutes=5)
_STATE = re.compile(r"[A-Za-z0-9]{0,128}")
_SCOPES = frozenset({"snsapi_base", "snsapi_userinfo", "snsapi_privateinfo"})


class PageError(Exception):
    """The page refuses, with the platform's number and a sentence for whoever set it up."""

    def __init__(self, code: int, why: str) -> None:
        self.code, self.why = code, why
        super().__init__(f"{code} {why}")


class NobodyIsLoggedIn(Exception):  # noqa: N818 -- an everyday answer, not a fault
    """The phone has no person who fits this account; the page asks who it shall be."""


@dataclass(frozen=True)
class Asked:
    """The query of the page."""

    appid: str
    redirect_uri: str
    scope: str
    state: str

    @property
    def is_corp(self) -> bool:
        """A corp of WeCom asks, not an official account."""
        return self.appid.startswith("ww")


def authorize(
    world: World, query: Mapping[str, str], *, person: str, is_snapshot: bool, now: datetime
) -> str:
    """The address to go back to, with a fresh code. Refuses `PageError`, `NobodyIsLoggedIn`."""
    asked = Asked(
        query.get("appid", ""),
        query.get("redirect_uri", ""),
        query.get("scope", ""),
        query.get("state", ""),
    )
    _check(world, asked)
    who = _person_for(world, asked, person)
    if is_snapshot and not asked.is_corp:
        # A snapshot page shows a virtual person, who must never become a member.
        who = openid(asked.appid, f"snapshot {who}")
    value = secrets.token_urlsafe(24)
    code = Code(value, asked.appid, who, asked.scope, now + _CODE_LIFE, is_snapshot=is_snapshot)
    codes = world.wecom.codes if asked.is_corp else world.wechat.codes
    codes[value] = code
    return _with_query(asked.redirect_uri, code=value, state=asked.state)


def _check(world: World, asked: Asked) -> None:
    if not asked.redirect_uri:
        raise PageError(10011, "redirect_uri is missing.")
    if asked.scope not in _SCOPES:
        raise PageError(10005 if asked.scope else 10010, "scope is missing or unknown.")
    if not _STATE.fullmatch(asked.state):
        raise PageError(10013, "state has up to 128 letters and digits, nothing else.")
    domains = _domains(world, asked)
    if domains is None:
        raise PageError(10016, "This appid is not known to the sandbox.")
    parts = urlsplit(asked.redirect_uri)
    # An official account compares the host without a port, a corp with it.
    host = parts.netloc if asked.is_corp else parts.hostname
    if host not in domains or parts.scheme not in {"http", "https"}:
        code = 50001 if asked.is_corp else 10003
        raise PageError(
            code, f"{host} is not the registered domain ({', '.join(sorted(domains))})."
        )


def _domains(world: World, asked: Asked) -> set[str] | None:
    """The registered domains; an account that names none has that of its callback door."""
    if asked.is_corp:
        apps = [app for app in world.wecom.apps.values() if app.corpid == asked.appid]
        return {app.oauth_domain or urlsplit(app.door_url).netloc for app in apps} if apps else None
    account = world.wechat.accounts.get(asked.appid)
    if account is None:
        return None
    registered = f"//{account.oauth_domain}" if account.oauth_domain else account.door_url
    return {urlsplit(registered).hostname or ""}


def _person_for(world: World, asked: Asked, person: str) -> str:
    if asked.is_corp and (person in world.wecom.guides or person in world.wechat.followers):
        return person
    follower = world.wechat.followers.get(person)
    if not asked.is_corp and follower is not None and follower.appid == asked.appid:
        return person
    raise NobodyIsLoggedIn


def _with_query(url: str, **more: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *more.items()]
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))
