"""Host keys as OpenSSH keeps them, checked strictly.

Read by hand because paramiko's reader gives up on a whole file for one ``@revoked`` or ``@cert-authority`` line, knows
no wildcards and keeps one key a type. The format is described in sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

There is no switch that turns the check off. ``StrictHostKeyChecking`` of ssh_config is not obeyed: with ``no`` or
``accept-new`` this tool would act on a machine that nobody has vouched for, so both count as ``yes``. Host certificates
are not supported: a host that is known only through ``@cert-authority`` counts as unknown, and the hint says how to
record its plain key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollback_tasks.errors import HostKeyChanged, HostKeyUnknown

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file that holds for a host.

    :param path: the file, and ``line`` its line.
    :param key_type: as the line names it, e.g. ``ssh-ed25519``.
    :param blob: the public key as it goes over the wire.
    """

    path: str
    line: int
    key_type: str
    blob: bytes

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key has to be looked up, and how a person reaches that machine.

    :param host: the inventory's name, for reports.
    :param hostname: the name or address that is dialled.
    :param port: its TCP port.
    :param alias: ``HostKeyAlias`` of ssh_config.
    :param files: known_hosts files, the user's own first.
    :param jumps: ``user@host:port`` of the hops in between, as ``ssh -J`` takes them; empty where there is none.
    """

    host: str
    hostname: str
    port: int
    files: tuple[str, ...]
    alias: str | None = None
    jumps: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names to look up, the best first (OpenSSH falls back to the name without its port)."""
        if self.alias:
            return (self.alias,)
        if self.port == SSH_PORT:
            return (self.hostname,)
        return (f"[{self.hostname}]:{self.port}", self.hostname)


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What the files say about one host."""

    place: Place
    trusted: tuple[Entry, ...]
    revoked: tuple[Entry, ...]
    authorities: tuple[Entry, ...]

    @property
    def key_types(self) -> tuple[str, ...]:
        """Types of the keys that would be accepted: the host has to be asked for one of these."""
        return tuple(dict.fromkeys(entry.key_type for entry in self.trusted))

    def check(self, key_type: str, blob: bytes) -> None:
        """Return quietly where the host's key is known.

        :raises HostKeyChanged: another key of this type is known, or this one is revoked.
        :raises HostKeyUnknown: no key of this type is known.
        """
        revoked = next((entry for entry in self.revoked if entry.blob == blob), None)
        if revoked is not None:
            raise self._revoked(blob, revoked)
        if any(entry.blob == blob for entry in self.trusted):
            return
        rivals = [entry for entry in self.trusted if entry.key_type == key_type]
        if rivals:
            raise self._changed(key_type, blob, rivals)
        raise self._unknown(key_type, blob)

    def _revoked(self, blob: bytes, entry: Entry) -> HostKeyChanged:
        return HostKeyChanged(
            f"{self._who} shows a host key that was revoked",
            details=f"its {entry.key_type} key {fingerprint(blob)} is marked @revoked at {entry.place}",
            hint=f"ask who runs the host for its new key; `{self._find(entry.path)}` shows what is recorded.",
            host=self.place.host,
        )

    def _changed(self, key_type: str, blob: bytes, rivals: Sequence[Entry]) -> HostKeyChanged:
        known = "\n".join(f"known is {fingerprint(entry.blob)} at {entry.place}" for entry in rivals)
        remove = shlex.join(("ssh-keygen", "-f", rivals[0].path, "-R", self.place.names[0]))
        return HostKeyChanged(
            f"{self._who} shows another host key than the one that is known",
            details=f"it shows the {key_type} key {fingerprint(blob)}\n{known}\n"
            "it was installed anew, or somebody stands in between",
            hint=f"if its administrator confirms the new fingerprint, run `{remove}`, then `{self._record(key_type)}`.",
            host=self.place.host,
        )

    def _unknown(self, key_type: str, blob: bytes) -> HostKeyUnknown:
        lines = [f"it shows the {key_type} key {fingerprint(blob)}", f"looked in {', '.join(self.place.files)}"]
        if self.trusted:
            lines.append(f"known are only keys of another type: {', '.join(self.key_types)}")
        if self.authorities:
            lines.append(f"{self.authorities[0].place} names a certificate authority; host certificates are not used")
        return HostKeyUnknown(
            f"the host key of {self._who} is not known",
            details="\n".join(lines),
            hint=f"compare the fingerprint with the host's own, then run `{self._record(key_type)}`.",
            host=self.place.host,
        )

    @property
    def _who(self) -> str:
        return f"{self.place.hostname}:{self.place.port}"

    def _find(self, path: str) -> str:
        return shlex.join(("ssh-keygen", "-f", path, "-F", self.place.names[0]))

    def _record(self, key_type: str) -> str:
        """The command that records the key: ssh-keyscan sees only hosts that are reached directly."""
        place, file = self.place, self.place.files[0]
        if place.jumps or place.alias:
            words = ["ssh", "-p", str(place.port), "-o", f"UserKnownHostsFile={file}"]
            words += ["-o", "StrictHostKeyChecking=ask"]
            words += ["-J", place.jumps] if place.jumps else []
            words += ["-o", f"HostKeyAlias={place.alias}"] if place.alias else []
            return shlex.join((*words, place.hostname, "true"))
        kind = key_type.removeprefix("ssh-").split("-")[0]
        scan = shlex.join(("ssh-keyscan", "-t", kind, "-p", str(place.port), place.hostname))
        return f"{scan} >> {shlex.quote(file)}"


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as ``ssh`` and ``ssh-keygen -l`` show it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def look_up(place: Place) -> KnownKeys:
    """Read what the files of ``place`` say. A missing or unreadable file says nothing, as with ``ssh``."""
    first, *others = place.names
    trusted: list[Entry] = []
    portless: list[Entry] = []
    revoked: list[Entry] = []
    authorities: list[Entry] = []
    for path in place.files:
        for marker, patterns, entry in _entries(path):
            exact = _matches(patterns, first)
            if not exact and not any(_matches(patterns, name) for name in others):
                continue
            match marker:
                case "":
                    (trusted if exact else portless).append(entry)
                case "@revoked":
                    revoked.append(entry)
                case "@cert-authority":
                    authorities.append(entry)
    return KnownKeys(place, tuple(trusted or portless), tuple(revoked), tuple(authorities))


def _entries(path: str) -> Iterator[tuple[str, str, Entry]]:
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError:
        return
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3:
            continue
        patterns, key_type, encoded = words[:3]
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue
        yield marker, patterns, Entry(path, number, key_type, blob)


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    lowered = name.lower()
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        if _fits(pattern.removeprefix("!"), lowered):
            if negated:
                return False
            found = True
    return found


def _fits(pattern: str, name: str) -> bool:
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    # Not fnmatch: the brackets of "[host]:port" are no character class here.
    wild = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(wild, name, re.DOTALL) is not None


def _matches_hash(field: str, name: str) -> bool:
    _, _, salt, digest = (field.split("|") + ["", ""])[:4]
    try:
        key, expected = base64.b64decode(salt), base64.b64decode(digest)
    except binascii.Error:
        return False
    return hmac.compare_digest(hmac.new(key, name.lower().encode(), "sha1").digest(), expected)
