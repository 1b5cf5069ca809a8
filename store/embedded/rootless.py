"""Takes PostgreSQL out of root's hands: it refuses to run as root, and containers often are."""

import os
import shutil
import subprocess
from pathlib import Path

from store.embedded.process import EmbeddedServerError

_NOBODY = 65534
# One power of root's stays: to pass through closed folders, so that a checkout under /root works
# and no folder's rights change. PostgreSQL asks with access(2), which forgets the powers of a
# process that is not root unless no_setuid_fixup is set (capabilities(7)).
_POWERS = (
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)


def give_away(folder: Path) -> None:
    """Hand a new data folder to the user that PostgreSQL will run as."""
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)


def as_owner_of(folder: Path) -> list[str]:
    """The words before a command that make it run as the owner of `folder`; none unless root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and `setpriv` (package util-linux) is missing: "
            "install it, run as an ordinary user, or set ZHIYIN_DATABASE_URL."
        )
    owner = folder.stat().st_uid or _NOBODY
    # The signal is set anew, because a change of user clears it.
    user = (f"--reuid={owner}", f"--regid={owner}", "--clear-groups", "--pdeathsig=INT")
    words = [setpriv, *user, *_POWERS, "--"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return words
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and root may not change its user here "
        f"({tried.stderr.strip()}): run as an ordinary user, or set ZHIYIN_DATABASE_URL."
    )
