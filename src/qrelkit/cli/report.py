"""x."""


def report() -> None:
    """x."""
