"""A cache that is bounded by bytes: what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BytesCache(Generic[Key, Value]):
    """Safe between threads. A value larger than the whole cache is kept alone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._gate = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._gate:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def pop(self, key: Key) -> Value | None:
        with self._gate:
            value, size = self._kept.pop(key, (None, 0))
            self.bytes -= size
            return value

    def put(self, key: Key, value: Value, size: int) -> None:
        with self._gate:
            if key in self._kept:
                self.bytes -= self._kept.pop(key)[1]
            self._kept[key] = (value, size)
            self.bytes += size
            while self.bytes > self.limit and len(self._kept) > 1:
                _, (_, dropped) = self._kept.popitem(last=False)
                self.bytes -= dropped

    def clear(self) -> None:
        with self._gate:
            self._kept.clear()
            self.bytes = 0

    def __contains__(self, key: Key) -> bool:
        with self._gate:
            return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
