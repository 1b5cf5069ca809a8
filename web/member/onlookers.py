"""Who opens a list that is open to everybody: the member, or somebody who only looks on.

A list needs no log-in, so most openings cannot be told apart and count as the member's. These do
not: a program that fetches pages ahead or for a preview, the guide inside WeCom, and a person who
is known here as another member, such as a friend whom the link was passed to.
"""

import re

from fastapi import Request

from store import members
from store.campaigns import CareTask
from web.member.entry import Visit

# Headers by which a browser says that nobody looks yet (Sec-Purpose: fetch.spec.whatwg.org).
_AHEAD = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_NOBODY_YET = re.compile("prefetch|prerender|preview", re.IGNORECASE)
# Crawlers name themselves so; WeCom's own browser says wxwork, where a member has WeChat's.
_NO_MEMBER = re.compile(r"bot/|\bbot\b|spider|crawl|preview|wxwork/", re.IGNORECASE)


def is_the_member(visit: Visit, task: CareTask) -> bool:
    """Whether this opening may be taken for the member of the task."""
    if _is_ahead(visit.request) or _NO_MEMBER.search(visit.request.headers.get("user-agent", "")):
        return False
    if visit.person is None:
        return True
    return visit.person.id == members.survivor(visit.session, task.member_id)


def _is_ahead(request: Request) -> bool:
    return any(_NOBODY_YET.search(request.headers.get(name, "")) for name in _AHEAD)
