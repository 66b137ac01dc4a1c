def check() -> int:
    """Wait for a cache that never fills."""
    return 503
