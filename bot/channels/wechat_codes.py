"""What WeChat's error codes mean for a touch (wechat-oa.md §12)."""

from bot.channels import base
from bot.channels.base import Cause, table

NO_WINDOW = Cause("no_window")
WINDOW_USED_UP = Cause("window_used_up")
NO_ACCEPTANCE = Cause("no_acceptance")
# Template messages are for the member's own business (wechat-oa.md §6.1).
ONLY_SERVICE = Cause("only_service", is_mendable=True)

_MISCONFIGURED = (40002, 40013, 40125, 40164, 40200, 40243, 41001, 41002, 41004, 43116)
_NO_RIGHT = (48001, 48004, 48008, 50001, 50002, 61004)
_BAD_CONTENT = (40007, 40008, 40033, 40035, 40036, 40037, 40039, 41030, 45002, 45008)
_BAD_REQUEST = (43001, 43002, 43003, 44002, 44004, 47001, 47003)

CAUSES = table(
    (base.BUSY, (-1, 42010, 61450)),
    (base.TOO_FAST, (45011,)),
    (base.QUOTA, (45009, 48006)),
    (base.NO_TOKEN, (40001, 40014, 42001)),
    # The window is the member's to open; another channel may be open meanwhile.
    (NO_WINDOW, (45015,)),
    (WINDOW_USED_UP, (45047,)),
    (NO_ACCEPTANCE, (43101,)),
    (base.GONE, (40003, 43004, 43005, 43019, 46004, 48002, 50005)),
    (base.MISCONFIGURED, (*_MISCONFIGURED, *_NO_RIGHT)),
    (base.FORBIDDEN, (40249, 70000)),
    (base.BAD_CONTENT, (*_BAD_CONTENT, *_BAD_REQUEST)),
)
