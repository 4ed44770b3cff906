"""NamedTuple without the typing module.

Importing typing takes longer than everything else that refusing a command needs. A class
that the light path uses derives from this NamedTuple; type checkers see typing's own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    class _Record(type):
        """Turns annotated fields and their defaults into a collections.namedtuple."""

        def __new__(meta, name, bases, space):
            if not bases:
                return super().__new__(meta, name, bases, space)
            fields = list(space.get("__annotations__", ()))
            defaults = [space.pop(field) for field in fields if field in space]
            base = namedtuple(name, fields, defaults=defaults)
            return type(name, (base,), {"__slots__": (), **space})

    NamedTuple = _Record("NamedTuple", (), {})

__all__ = ["NamedTuple"]
