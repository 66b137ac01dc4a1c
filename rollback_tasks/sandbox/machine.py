"""Programs that this machine needs for a sandbox, installed where they are missing."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.errors import UsageError
from rollback_tasks.model.events import Note
from rollback_tasks.ports import EventSink, Host
from rollback_tasks.shell import Effect, script

# Debian's package of each program; the second one counts where a later Debian split the client off.
_PACKAGES = {
    "docker": ("docker.io", "docker-cli"),
    "dockerd": ("docker.io",),
    "iptables": ("iptables",),
    "mmdebstrap": ("mmdebstrap",),
    "pip3": ("python3-pip",),
    "ssh": ("openssh-client",),
    "ssh-keygen": ("openssh-client",),
}

_MISSING = """\
PATH=$PATH:/usr/sbin:/sbin
for program in "$@"; do command -v "$program" >/dev/null 2>&1 || printf '%s\\n' "$program"; done
"""

_CAN_INSTALL = '[ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null'

_INSTALL = """\
set -e
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
apt-get update -qq
for package in "$@"; do
  if apt-cache show "$package" >/dev/null 2>&1; then apt-get install -y -qq --no-install-recommends "$package"; fi
done >&2
"""


def need(local: Host, programs: Sequence[str], *, events: EventSink, purpose: str) -> None:
    """Make sure that ``programs`` are on this machine.

    :param purpose: what they are for, as the end of a sentence that begins with "needed".
    :raises UsageError: one is missing and this is not root on Debian or Ubuntu.
    :raises CommandFailed: the package manager failed.
    """
    missing = _missing(local, programs)
    if not missing:
        return
    packages = sorted({package for program in missing for package in _PACKAGES[program]})
    if not can_install(local):
        raise UsageError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed {purpose}, "
            "and only root on Debian or Ubuntu can install what is missing",
            hint=f"Install {', '.join(packages)} and then type: inv sandbox.up",
        )
    events.emit(Note("", f"installing {', '.join(packages)}"))
    local.run(script(_INSTALL, *packages, effect=Effect.WRITE, timeout=900.0))
    still = _missing(local, programs)
    if still:
        raise UsageError(
            f"{', '.join(still)} cannot be installed from this machine's package sources",
            hint="Install it by hand and then type: inv sandbox.up",
        )


def can_install(local: Host) -> bool:
    """Return True where packages can be installed: root on Debian or Ubuntu."""
    answer = local.run(script(_CAN_INSTALL, effect=Effect.READ, ok_codes=frozenset({0, 1, 127})))
    return answer.exit_code == 0


def _missing(local: Host, programs: Sequence[str]) -> list[str]:
    return local.run(script(_MISSING, *programs, effect=Effect.READ)).text.split()
