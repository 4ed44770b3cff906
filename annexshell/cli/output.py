"""What is said to the person at the client."""

from __future__ import annotations

from annexshell.model.writing import write_all


def tell(error: Exception) -> None:
    """One line on stderr, for the person at the client, about what goes on regardless."""
    write_all(2, f"annexshell: {error}\n".encode("utf-8", "backslashreplace"))
