"""Commands of the in-memory Redis on sorted sets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import isnan

from sagastream.errors import ReplyError
from sagastream.testing.memory_collections import span
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw, SortedSet, integer, options, syntax_error

Pairs = list[tuple[float, bytes]]


def zadd(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZADD key [NX | XX] [GT | LT] [CH] score member …``."""
    flags: set[bytes] = set()
    at = 1
    while at < len(args) and (word := args[at].upper()) in (b"NX", b"XX", b"GT", b"LT", b"CH"):
        flags.add(word)
        at += 1
    pairs = args[at:]
    if not pairs or len(pairs) % 2:
        raise syntax_error()
    if flags:
        if {b"NX", b"XX"} <= flags:
            raise ReplyError("ERR", "XX and NX options at the same time are not compatible")
        if len(flags & {b"NX", b"GT", b"LT"}) > 1:
            raise ReplyError("ERR", "GT, LT, and/or NX options at the same time are not compatible")
    scores = [number(text) for text in pairs[::2]]
    found = space.typed(args[0], SortedSet)
    if found is None:
        if b"XX" in flags:
            return 0
        found = space.typed_or_new(args[0], SortedSet)
    new = changed = 0
    for score, member in zip(scores, pairs[1::2], strict=True):
        old = found.scores.get(member)
        if old is None:
            if b"XX" not in flags:
                found.put(member, score)
                new += 1
        elif not (
            old == score or b"NX" in flags or (b"GT" in flags and score <= old) or (b"LT" in flags and score >= old)
        ):
            found.put(member, score)
            changed += 1
    return new + changed if b"CH" in flags else new


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
    by_score, reverse, with_scores, limit = _range_options(args[3:], all_words=True)
    if limit is not None and not by_score:
        raise ReplyError("ERR", "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if by_score:
        low, high = (args[2], args[1]) if reverse else (args[1], args[2])
        return _by_score(space, args[0], low, high, reverse, with_scores, limit)
    first, last = integer(args[1]), integer(args[2])
    found = space.typed(args[0], SortedSet)
    pairs = [] if found is None else found.order
    if reverse:
        pairs = pairs[::-1]
    return _reply(pairs[span(first, last, len(pairs))], with_scores)


def zrangebyscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZRANGEBYSCORE key low high [LIMIT offset count] [WITHSCORES]``."""
    _, _, with_scores, limit = _range_options(args[3:], all_words=False)
    return _by_score(space, args[0], args[1], args[2], False, with_scores, limit)


def zrevrangebyscore(space: Keyspace, args: Args) -> Raw:
    """Answer ``ZREVRANGEBYSCORE key high low [LIMIT offset count] [WITHSCORES]``."""
    _, _, with_scores, limit = _range_options(args[3:], all_words=False)
    return _by_score(space, args[0], args[2], args[1], True, with_scores, limit)


def number(text: bytes, message: str = "value is not a valid float") -> float:
    """Read a score."""
    if text.isdigit():
        return float(text)  # what nearly all are
    try:
        value = float(text)
    except ValueError:
        raise ReplyError("ERR", message) from None
    if isnan(value) or b"_" in text or text.strip() != text:
        raise ReplyError("ERR", message)
    return value


def number_text(value: float) -> bytes:
    """Write a score as the server's replies do."""
    return b"%.17g" % value


def _range_options(args: Args, *, all_words: bool) -> tuple[bool, bool, bool, tuple[int, int] | None]:
    by_score = reverse = with_scores = False
    limit: tuple[int, int] | None = None
    words = options(args)
    at = 0
    while at < len(words):
        word = words[at]
        if word == b"WITHSCORES":
            with_scores = True
        elif word == b"BYSCORE" and all_words:
            by_score = True
        elif word == b"REV" and all_words:
            reverse = True
        elif word == b"LIMIT" and at + 2 < len(words):
            limit = (integer(words[at + 1]), integer(words[at + 2]))
            at += 2
        else:
            raise syntax_error()
        at += 1
    return by_score, reverse, with_scores, limit


def _by_score(
    space: Keyspace,
    key: bytes,
    low: bytes,
    high: bytes,
    reverse: bool,
    with_scores: bool,
    limit: tuple[int, int] | None,
) -> Raw:
    bounds = _bounds(low, high)
    pairs = _between(space.typed(key, SortedSet), bounds)
    if reverse:
        pairs = pairs[::-1]
    if limit is not None:
        offset, count = limit
        pairs = [] if offset < 0 else pairs[offset:] if count < 0 else pairs[offset : offset + count]
    return _reply(pairs, with_scores)


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
