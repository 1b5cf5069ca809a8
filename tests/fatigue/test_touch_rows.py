"""Touches that the gate writes in bulk are as if they had been read back."""

from datetime import datetime

from sqlmodel import Session

from fatigue import gate
from store.touches import Touch
from tests.fatigue.people import a_member, an_ask


def test_new_touches_hold_every_column_as_it_was_written(session: Session, now: datetime) -> None:
    asks = [an_ask(session, a_member(session, now=now), text=text) for text in ("一", "二")]

    touches = gate.ask_many(session, asks, now=now)

    held = [{name: vars(touch)[name] for name in Touch.model_fields} for touch in touches]
    for touch in touches:
        session.refresh(touch)
    read = [{name: getattr(touch, name) for name in Touch.model_fields} for touch in touches]
    assert held == read
    assert not session.dirty
