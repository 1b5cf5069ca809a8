"""WeRoBot's encrypted echo, with its session off: `gunicorn bench.peers.werobot_echo:app`."""

from werobot import WeRoBot

from bench.pushes import AES_KEY, APP_ID, TOKEN

_robot = WeRoBot(token=TOKEN, encoding_aes_key=AES_KEY, app_id=APP_ID, enable_session=False)
app = _robot.wsgi


@_robot.text  # type: ignore[untyped-decorator]  # WeRoBot ships no types
def echo(message: object) -> object:
    """Say it again."""
    return getattr(message, "content", "")
