"""Refusals: the ways an act says no. English sentences for engineers; no HTTP, no Chinese."""

import traceback
from pathlib import Path

_FRAMES = 8


class Refusal(Exception):  # noqa: N818 -- a refusal is an answer, not a fault
    """An act was asked for and the record does not allow it."""


class NotFound(Refusal):
    """The thing asked for is not there, or not there for this person."""


class WrongState(Refusal):
    """The thing is there, but in a state that does not allow the act."""

    def __init__(self, noun: str, state: str, wanted: str) -> None:
        self.noun, self.state, self.wanted = noun, state, wanted
        super().__init__(f"A {noun} that is {state} cannot become {wanted}.")


class NotAllowed(Refusal):
    """This person may not do this."""


class Exhausted(Refusal):
    """A balance, a stock or a limit is used up."""


def whereabouts(fault: BaseException) -> str:
    """Kind and place of a fault, for logs: its words may hold a secret or a phone number."""
    frames = [
        frame
        for frame in reversed(traceback.extract_tb(fault.__traceback__))
        if "site-packages" not in frame.filename
    ]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[:_FRAMES]]
    return f"{type(fault).__name__} at {' < '.join(places)}"
