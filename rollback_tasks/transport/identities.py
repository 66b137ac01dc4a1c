"""Which keys to show to a host, and in which order.

A sshd drops the connection after six refused keys (MaxAuthTries). So the keys that somebody named for this host come
first, signed by the agent where it holds them (an encrypted file then needs no passphrase); what else the agent holds
comes after them, and not at all with ``IdentitiesOnly``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from rollback_tasks.errors import AuthenticationFailed

DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
_OPENSSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
_OPENSSH_END = "-----END OPENSSH PRIVATE KEY-----"
_OPENSSH_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the inventory and ssh_config say about keys.

    :param named: key files in the order to try them; one that is not there is passed over, as ``ssh`` does.
    :param only_named: ``IdentitiesOnly``: nothing else from the agent.
    """

    named: tuple[str, ...]
    only_named: bool = False


class KeyOffer:
    """Shows one key after another until one is taken (an ``auth_strategy`` for paramiko).

    :param host: the inventory's name, ``user`` the login, for the report.
    """

    def __init__(self, wanted: Wanted, *, user: str, host: str) -> None:
        self._wanted = wanted
        self._user = user
        self._host = host
        self._refused: list[str] = []
        self._unusable: list[str] = []
        self._locked: list[str] = []

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Return once the host lets us in.

        :raises AuthenticationFailed: it took none of the keys, or wants something else than a key.
        """
        agent = _agent()
        try:
            for label, key in self._keys(agent):
                if self._is_taken(transport, label, key):
                    return []
        finally:
            if agent is not None:
                agent.close()
        raise self._failed("accepted none of the keys that were offered")

    def _is_taken(self, transport: paramiko.Transport, label: str, key: paramiko.PKey) -> bool:
        try:
            further = transport.auth_publickey(self._user, key)
        except paramiko.BadAuthenticationType as exc:
            raise self._failed(f"takes no keys, only {', '.join(exc.allowed_types)}") from exc
        except paramiko.AuthenticationException as exc:
            self._refused.append(label)
            if not transport.is_active():
                raise self._failed("hung up after too many refused keys") from exc
            return False
        except (paramiko.SSHException, EOFError) as exc:
            self._refused.append(label)
            raise self._failed("hung up while keys were offered") from exc
        if further:
            raise self._failed(f"wants more than a key: {', '.join(further)}")
        return True

    def _keys(self, agent: paramiko.Agent | None) -> Iterator[tuple[str, paramiko.PKey]]:
        held = {key.asbytes(): key for key in agent.get_keys()} if agent else {}
        files = self._wanted.named or _default_files()
        for path in files:
            blob = public_blob(path)
            if blob is not None and blob in held:
                yield f"{path} (agent)", held.pop(blob)
            elif self._wanted.named:
                yield from self._from_file(path)
        if not self._wanted.only_named:
            for key in held.values():
                yield f"{getattr(key, 'comment', '') or key.get_name()} (agent)", key
        if not self._wanted.named:
            for path in files:
                if public_blob(path) not in held:
                    yield from self._from_file(path)

    def _from_file(self, path: str) -> Iterator[tuple[str, paramiko.PKey]]:
        try:
            key = paramiko.PKey.from_path(path)  # with the certificate beside it, if there is one
        except FileNotFoundError:
            self._unusable.append(f"{path} does not exist")
        except (paramiko.PasswordRequiredException, TypeError):  # cryptography's way to ask for a password
            self._locked.append(path)
            self._unusable.append(f"{path} is encrypted and no agent holds it")
        except (paramiko.SSHException, OSError, ValueError, UnsupportedAlgorithm, UnknownKeyType) as exc:
            self._unusable.append(f"{path} cannot be used: {exc}")
        else:
            yield path, key

    def _failed(self, how: str) -> AuthenticationFailed:
        lines = [f"offered as {self._user}: {', '.join(self._refused) or 'no key at all'}", *self._unusable]
        if self._locked:
            hint = f"unlock the key first: `ssh-add {self._locked[0]}`."
        else:
            hint = "name the right key as `identity_file` in hosts.yaml, or add it to the agent with `ssh-add`."
        return AuthenticationFailed(f"the host {how}", details="\n".join(lines), hint=hint, host=self._host)


def public_blob(path: str) -> bytes | None:
    """Return the public key that belongs to a key file, without needing its passphrase; None where it cannot be told.

    ``path`` may itself be a ``.pub`` file: that is how ``IdentityFile`` picks one key of an agent.
    """
    for candidate in (path, f"{path}.pub"):
        try:
            text = Path(candidate).read_text("ascii", "replace")
        except OSError:
            continue
        try:
            if text.startswith(_OPENSSH_BEGIN):
                return _blob_of_private(text)
            words = text.split(maxsplit=2)
            if len(words) >= 2 and not text.startswith("-----"):
                return base64.b64decode(words[1], validate=True)
        except (binascii.Error, ValueError):
            continue
    return None


def _blob_of_private(text: str) -> bytes | None:
    """The public half stands unencrypted in front of the private one (PROTOCOL.key of OpenSSH)."""
    body = text.partition(_OPENSSH_BEGIN)[2].partition(_OPENSSH_END)[0]
    data = base64.b64decode("".join(body.split()))
    if not data.startswith(_OPENSSH_MAGIC):
        return None
    message = paramiko.Message(data[len(_OPENSSH_MAGIC) :])
    message.get_string()  # cipher
    message.get_string()  # key derivation
    message.get_string()  # its options
    return message.get_binary() if message.get_int() == 1 else None


def _default_files() -> tuple[str, ...]:
    folder = Path("~/.ssh").expanduser()
    return tuple(str(folder / name) for name in DEFAULT_NAMES if (folder / name).exists())


def _agent() -> paramiko.Agent | None:
    try:
        return paramiko.Agent()
    except (paramiko.SSHException, OSError):
        return None  # a socket that no agent listens on: the same as no agent
