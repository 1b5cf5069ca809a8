"""Children that hear Ctrl-C, however the tests were started."""

import signal


def hear_ctrl_c() -> None:
    """Run in the child: in the background of a shell we would hand on that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
