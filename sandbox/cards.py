"""What WeCom takes as a template card: the two kinds the product sends, checked field by field
(wecom.md §3.2).
"""

import re
from typing import Any

from sandbox.refusals import ApiError

Part = dict[str, Any]

_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_KEY_BYTES = 1024
_OPTION_ID_BYTES = 128
_MOST_ROWS = 6
_MOST_JUMPS = 3
_MOST_BUTTONS = 6
_MOST_OPTIONS = 10
_MOST_ACTIONS = 3
# Types of `card_action`, jumps and quotes: 0 nothing, 1 a page, 2 a mini program.
_URL, _MINI_PROGRAM = 1, 2


def is_interactive(card: Part) -> bool:
    """The card can be updated by a callback: it has buttons or an action menu."""
    return card.get("card_type") == "button_interaction" or "action_menu" in card


def check_card(card: Part, *, is_change: bool = False) -> None:
    """Refuse the first fault with its own code. Kinds other than the two are answered 42031.

    A card in another one's place needs no name of its own.
    """
    if card.get("card_type") == "text_notice":
        _check_text_notice(card)
    elif card.get("card_type") == "button_interaction":
        _check_button_interaction(card)
    else:
        raise ApiError(42031)
    _check_rows(card.get("horizontal_content_list") or [])
    _check_target(_part(card, "quote_area"), types={0, _URL, _MINI_PROGRAM})
    if "action_menu" in card:
        _check_menu(_part(card, "action_menu"))
    if (is_interactive(card) and not is_change) or "task_id" in card:
        _check_task_id(card.get("task_id"))


def _check_text_notice(card: Part) -> None:
    if not (_part(card, "main_title").get("title") or card.get("sub_title_text")):
        raise ApiError(42033)
    action = _part(card, "card_action")
    if action.get("type") not in {_URL, _MINI_PROGRAM}:
        raise ApiError(42045)
    _check_target(action, types={_URL, _MINI_PROGRAM})
    jumps = card.get("jump_list") or []
    if len(jumps) > _MOST_JUMPS:
        raise ApiError(42042)
    for jump in jumps:
        if not jump.get("title"):
            raise ApiError(42033)
        _check_target(jump, types={0, _URL, _MINI_PROGRAM})


def _check_button_interaction(card: Part) -> None:
    if not _part(card, "main_title").get("title"):
        raise ApiError(42033)
    if "card_action" in card:
        _check_target(_part(card, "card_action"), types={0, _URL, _MINI_PROGRAM})
    if "button_selection" in card:
        _check_selection(_part(card, "button_selection"))
    _check_buttons(card.get("button_list") or [])


def _check_buttons(buttons: list[Part]) -> None:
    if not 1 <= len(buttons) <= _MOST_BUTTONS:
        raise ApiError(40058, "button_list has 1 to 6 buttons")
    keys = [button.get("key") for button in buttons if button.get("type", 0) == 0]
    for button in buttons:
        if not button.get("text"):
            raise ApiError(42038)
        if button.get("type", 0) == _URL and not button.get("url"):
            raise ApiError(42028)
    if not _are_keys(keys):
        raise ApiError(42039)


def _check_selection(selection: Part) -> None:
    if not selection.get("question_key"):
        raise ApiError(42043)
    options = selection.get("option_list") or []
    if not 1 <= len(options) <= _MOST_OPTIONS:
        raise ApiError(42037)
    ids = [option.get("id") for option in options]
    if (
        not all(ids)
        or len(set(ids)) < len(ids)
        or max(len(str(one).encode()) for one in ids) > _OPTION_ID_BYTES
    ):
        raise ApiError(42040)
    if not all(option.get("text") for option in options):
        raise ApiError(42041)


def _check_rows(rows: list[Part]) -> None:
    if len(rows) > _MOST_ROWS:
        raise ApiError(42035)
    needed = {1: ("url", 42028), 2: ("media_id", 42029), 3: ("userid", 42050)}
    for row in rows:
        if not row.get("keyname"):
            raise ApiError(42027)
        name, code = needed.get(row.get("type", 0), ("keyname", 42027))
        if not row.get(name):
            raise ApiError(code)


def _check_menu(menu: Part) -> None:
    actions = menu.get("action_list") or []
    keys = [action.get("key") for action in actions]
    if not 1 <= len(actions) <= _MOST_ACTIONS or not _are_keys(keys):
        raise ApiError(42051)
    if not all(action.get("text") for action in actions):
        raise ApiError(42038)


def _check_target(target: Part, *, types: set[int]) -> None:
    kind = target.get("type", 0)
    if target and kind not in types:
        raise ApiError(42045)
    if kind == _URL and not target.get("url"):
        raise ApiError(42028)
    if kind == _MINI_PROGRAM and not target.get("appid"):
        raise ApiError(42030)


def _check_task_id(task_id: object) -> None:
    if not isinstance(task_id, str) or not _TASK_ID.fullmatch(task_id):
        raise ApiError(42014)


def _are_keys(keys: list[Any]) -> bool:
    is_each_good = all(key and len(str(key).encode()) <= _KEY_BYTES for key in keys)
    return is_each_good and len(set(keys)) == len(keys)


def _part(card: Part, name: str) -> Part:
    value = card.get(name)
    return value if isinstance(value, dict) else {}
