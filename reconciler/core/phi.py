"""Values of a person, wrapped so that no output takes them by accident.

``Phi`` refuses ``str()``, f-strings, ``format``, ``%s``, bytes, JSON, copying into plain structures and pickling; its
``repr`` is ``<phi>``, which is what tracebacks, assertion messages and debuggers show. ``reveal()`` is the only way to
the value, and a search for it lists every place where patient data leaves its wrapper.

Two wrapped values compare by value, so that they can be keys; a wrapped value never equals a plain one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Never, TypeVar

from reconciler.errors import InternalError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


class PhiLeak(InternalError, TypeError):
    """Something tried to turn a patient's value into text, bytes or a document."""

    def __init__(self) -> None:
        super().__init__("a value of a person was about to be written in clear; nothing was written")


class Phi(Generic[T_co]):
    """One value of a person. Immutable, hashable where the value is; see the module for what it refuses."""

    __slots__ = ("__value",)
    __value: T_co

    def __init__(self, value: T_co) -> None:
        object.__setattr__(self, "_Phi__value", value)

    def reveal(self) -> T_co:
        """The value in clear. Call it where the value is used and keep the result in no longer-lived place."""
        return self.__value

    def map(self, change: Callable[[T_co], U]) -> Phi[U]:
        """What ``change`` makes of the value, wrapped again."""
        return Phi(change(self.__value))

    def __repr__(self) -> str:
        return "<phi>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Phi):
            return bool(self.__value == other.reveal())
        return NotImplemented

    def __hash__(self) -> int:
        return hash((Phi, self.__value))

    def __copy__(self) -> Phi[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> Phi[T_co]:
        return self

    def __setattr__(self, name: str, value: object) -> Never:
        raise PhiLeak

    def __delattr__(self, name: str) -> Never:
        raise PhiLeak

    def __str__(self) -> Never:
        raise PhiLeak

    def __format__(self, spec: str) -> Never:
        raise PhiLeak

    def __bytes__(self) -> Never:
        raise PhiLeak

    def __iter__(self) -> Never:
        raise PhiLeak

    def __reduce_ex__(self, protocol: object) -> Never:
        raise PhiLeak

    def __getstate__(self) -> Never:
        raise PhiLeak


def wrap(value: T | None) -> Phi[T] | None:
    """The value wrapped, or None where there is none."""
    return None if value is None else Phi(value)
