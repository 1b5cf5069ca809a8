"""What forms of member pages have in common."""

from typing import Annotated

from fastapi import Form

_LONGEST_TOKEN = 64
# Made with the page, so that a form which is sent twice counts once.
Token = Annotated[str, Form(min_length=16, max_length=_LONGEST_TOKEN, pattern=r"^[\w-]+$")]
