"""Refusals: the ways an act says no. English sentences for engineers; no HTTP, no Chinese."""


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
