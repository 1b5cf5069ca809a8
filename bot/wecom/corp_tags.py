"""Corp tags: their names, and which ones a guide's customer has (wecom.md §4.3)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.wecom.answers import Answer, shaped
from bot.wecom.client import WeComApi

# wecom.md §4.3.
NAME_CHARACTERS = 30


@dataclass(frozen=True)
class CorpTag:
    """One tag in its group."""

    tag_id: str
    name: str
    group_name: str


def every(api: WeComApi) -> list[CorpTag]:
    """All tags of the corp that are not deleted."""
    return shaped(api.post("externalcontact/get_corp_tag_list", {}), _tags)


def add(api: WeComApi, group_name: str, names: Sequence[str]) -> list[CorpTag]:
    """Add tags to a group, which is made when it is new; gives the group as it is then."""
    body = {"group_name": group_name, "tag": [{"name": name} for name in names]}
    found = api.post("externalcontact/add_corp_tag", body)
    return shaped(found, lambda answer: _of_group(answer["tag_group"]))


def rename(api: WeComApi, tag_id: str, name: str) -> None:
    """Rename a tag; an app may do so only with those it has made."""
    api.post("externalcontact/edit_corp_tag", {"id": tag_id, "name": name})


def remove(api: WeComApi, tag_ids: Sequence[str]) -> None:
    """Delete tags; the last one of a group takes it along."""
    api.post("externalcontact/del_corp_tag", {"tag_id": list(tag_ids)})


def mark(
    api: WeComApi,
    userid: str,
    external_userid: str,
    *,
    add_tags: Collection[str],
    remove_tags: Collection[str],
) -> None:
    """Change the tags of one guide's customer. Two calls for one pair at once are 45035."""
    assert add_tags or remove_tags
    api.post(
        "externalcontact/mark_tag",
        {
            "userid": userid,
            "external_userid": external_userid,
            "add_tag": sorted(add_tags),
            "remove_tag": sorted(remove_tags),
        },
    )


def _tags(found: Answer) -> list[CorpTag]:
    groups = found.get("tag_group") or []
    return [tag for group in groups if not group.get("deleted") for tag in _of_group(group)]


def _of_group(group: Answer) -> list[CorpTag]:
    name = str(group["group_name"])
    return [
        CorpTag(str(tag["id"]), str(tag["name"]), name)
        for tag in group.get("tag") or []
        if not tag.get("deleted")
    ]
