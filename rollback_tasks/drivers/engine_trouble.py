"""What a Docker engine says when it cannot do something, and what a person does about it."""

from __future__ import annotations

_REMEDIES = {
    "port is already allocated": "where no container has that port (`docker ps`), the engine kept it for one that is "
    "gone, as after a power cut: `sudo systemctl restart docker` frees it",
    "no space left on device": "free space on the disk of the engine: `docker system df` shows what takes it",
    "Cannot connect to the Docker daemon": "start the engine: `sudo systemctl start docker`",
}


def remedy(said: str) -> str:
    """Given an engine's error, return what to do about it, as part of a sentence; empty where nothing is known."""
    return next((what for words, what in _REMEDIES.items() if words in said), "")
