"""Commands of the in-memory Redis on sorted sets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import isnan

from sagastream.errors import ReplyError
from sagastream.testing.memory_collections import span
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw, SortedSet, integer, options, syntax_error

Pairs = list[tuple[float, bytes]]


def zadd(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZADD key score member …``."""
    if len(args) % 2 == 0:
        raise syntax_error()
    scores = [number(text) for text in args[1::2]]
    found = space.typed_or_new(args[0], SortedSet)
    before = len(found)
    for score, member in zip(scores, args[2::2], strict=True):
        found.put(member, score)
    return len(found) - before


def zrem(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZREM key member …``."""
    found = space.typed(args[0], SortedSet)
    if found is None:
        return 0
    removed = sum(found.remove(member) for member in args[1:])
    space.vanish_if_empty(args[0], found)
    return removed


def zscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZSCORE key member``."""
    found = space.typed(args[0], SortedSet)
    score = None if found is None else found.scores.get(args[1])
    return None if score is None else number_text(score)


def zmscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZMSCORE key member …``."""
    return [zscore(space, (args[0], member)) for member in args[1:]] if len(args) > 1 else []


def zcard(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZCARD key``."""
    return len(space.typed(args[0], SortedSet) or ())


def zcount(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZCOUNT key low high``."""
    bounds = _bounds(args[1], args[2])
    return len(_between(space.typed(args[0], SortedSet), bounds))


def zrange(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZRANGE key first last [BYSCORE] [REV] [LIMIT offset count] [WITHSCORES]``."""
    by_score, reverse, with_scores, limit = _range_options(args[3:])
    if limit is not None and not by_score:
        raise ReplyError("ERR", "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if by_score:
        bounds = _bounds(args[2], args[1]) if reverse else _bounds(args[1], args[2])
        pairs = _between(space.typed(args[0], SortedSet), bounds)
        pairs = pairs[::-1] if reverse else pairs
        offset, count = limit or (0, -1)
        return _reply([] if offset < 0 else pairs[offset : None if count < 0 else offset + count], with_scores)
    first, last = integer(args[1]), integer(args[2])
    found = space.typed(args[0], SortedSet)
    pairs = [] if found is None else found.order
    pairs = pairs[::-1] if reverse else pairs
    return _reply(pairs[span(first, last, len(pairs))], with_scores)


def zrangebyscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZRANGEBYSCORE key low high [LIMIT offset count] [WITHSCORES]``."""
    return zrange(space, [*args[:3], b"BYSCORE", *args[3:]])


def zrevrangebyscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZREVRANGEBYSCORE key high low [LIMIT offset count] [WITHSCORES]``."""
    return zrange(space, [*args[:3], b"BYSCORE", b"REV", *args[3:]])


def number(text: bytes, message: str = "value is not a valid float") -> float:
    """Parse a score."""
    if text.isdigit():
        return float(text)  # fast path: nearly all are plain
    try:
        value = float(text)
    except ValueError:
        raise ReplyError("ERR", message) from None
    if isnan(value) or b"_" in text or text.strip() != text:
        raise ReplyError("ERR", message)
    return value


def number_text(value: float) -> bytes:
    """Format a score as in the server's replies."""
    return b"%.17g" % value


def _range_options(args: Args) -> tuple[bool, bool, bool, tuple[int, int] | None]:
    by_score = reverse = with_scores = False
    limit: tuple[int, int] | None = None
    words = options(args)
    at = 0
    while at < len(words):
        word = words[at]
        if word == b"WITHSCORES":
            with_scores = True
        elif word == b"BYSCORE":
            by_score = True
        elif word == b"REV":
            reverse = True
        elif word == b"LIMIT" and at + 2 < len(words):
            limit = (integer(words[at + 1]), integer(words[at + 2]))
            at += 2
        else:
            raise syntax_error()
        at += 1
    return by_score, reverse, with_scores, limit


def _bounds(low: bytes, high: bytes) -> tuple[float, bool, float, bool]:
    return (*_bound(low), *_bound(high))


def _bound(text: bytes) -> tuple[float, bool]:
    is_open = text[:1] == b"("
    return number(text[1:] if is_open else text, "min or max is not a float"), is_open


def _between(found: SortedSet | None, bounds: tuple[float, bool, float, bool]) -> Pairs:
    if found is None:
        return []
    low, low_open, high, high_open = bounds
    order = found.order
    start = bisect_right(order, low, key=_score) if low_open else bisect_left(order, low, key=_score)
    stop = bisect_left(order, high, key=_score) if high_open else bisect_right(order, high, key=_score)
    return order[start:stop]


def _score(pair: tuple[float, bytes]) -> float:
    return pair[0]


def _reply(pairs: Pairs, with_scores: bool) -> Raw:
    if not with_scores:
        return [member for _, member in pairs]
    flat: list[Raw] = []
    for score, member in pairs:
        flat.append(member)
        flat.append(number_text(score))
    return flat
