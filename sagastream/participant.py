"""Declare a service's handlers. Owns their registry and its checks; runs no handler and does no I/O."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from sagastream.errors import DefinitionError
from sagastream.event import LIBRARY_FACTS, REQUESTS, Event, Refusal
from sagastream.keys import COORDINATOR, OWNER
from sagastream.ledger import BEGINNING
from sagastream.retry import Retry

Function = Callable[..., Awaitable[Event | None]]
F = TypeVar("F", bound=Function)
_POSITION = re.compile(r"[0-9]+(-[0-9]+)?")
_LIBRARYS: dict[str, type[Event]] = {**REQUESTS, **{kind.type_name(): kind for kind in LIBRARY_FACTS}}


@dataclass(frozen=True)
class Handler:
    """One function of a participant, and what its annotations declare.

    ``name`` is the function's field in the ledger. ``resources`` are the parameters after event and transaction,
    injected by type when the participant runs. ``may_say_nothing`` tells whether the function may return None.
    """

    name: str
    function: Function
    takes: type[Event]
    publishes: tuple[type[Event], ...]
    may_say_nothing: bool
    is_outside: bool
    retry: Retry
    resources: Mapping[str, type]

    @property
    def done(self) -> type[Event] | None:
        """Return the event that says this handler's step is done, None if it publishes none."""
        return next((kind for kind in self.publishes if not issubclass(kind, Refusal)), None)


@dataclass(frozen=True)
class Beginning:
    """The saga that an event begins, and the version of its table."""

    event: type[Event]
    saga: str
    version: int


@dataclass
class Participant:
    """The set of handlers of one service; its consumer group has the same name.

    ``begins_at`` is the stream position from which a group that never existed reads: ``"0"`` reads every entry still
    in the stream, ``"$"`` only entries added from now on. A group that was lost always begins at ``"0"``.

    A handler decides by returning an event, for success and refusal alike. A handler that raises has decided nothing:
    it is retried, and at last its message becomes a dead letter.
    """

    name: str
    begins_at: str = "0"
    retry: Retry = field(default_factory=Retry)
    handlers: dict[str, Handler] = field(default_factory=dict, init=False)
    undos: dict[str, Handler] = field(default_factory=dict, init=False)
    closes: dict[str, Handler] = field(default_factory=dict, init=False)
    beginnings: dict[str, Beginning] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not OWNER.fullmatch(self.name) or self.name == COORDINATOR:
            raise DefinitionError(f"participant {self.name!r} must look like 'stock' and not be {COORDINATOR!r}")
        if self.begins_at != "$" and not _POSITION.fullmatch(self.begins_at):
            raise DefinitionError(
                f"{self.name}: begins_at must be '0', '$' or the id of an entry, got {self.begins_at!r}"
            )
        self._must_be_a_retry(self.retry)

    def begins(self, event: type[Event], *, saga: str, version: int) -> None:
        """Declare that this participant begins a saga by publishing this event."""
        self._must_be_an_event("begins", event)
        self._must_publish(event)
        self.beginnings[event.type_name()] = Beginning(event, saga, version)

    def on(
        self, event: type[Event], *, outside: bool = False, retry: Retry | None = None, name: str | None = None
    ) -> Callable[[F], F]:
        """Declare the function that handles an event.

        ``outside``: the function calls something other than Redis. The ledger then says ``begun`` before the function
        runs, the function may run more than once with the same ``tx.key``, and no other message waits for it.

        ``name``: the handler's name in the ledger and in ``tx.key``, by default the function's. When you rename a
        function, give its old name here: under a new one the ledger does not find what was done, and it is done again.
        """
        self._must_be_an_event("on", event)

        def declare(function: F) -> F:
            if event.type_name() in self.handlers:
                raise DefinitionError(f"{self.name}: two handlers for {event.type_name()}")
            if not event.by:
                raise DefinitionError(f"{self.name}: {event.type_name()} does not say by whom it is published")
            _must_not_pass_for_the_librarys(event)
            handler = self._handler(function, event, outside=outside, retry=retry, name=name)
            self._must_be_told_apart(handler)
            self.handlers[event.type_name()] = handler
            return function

        return declare

    def undo(self, done: type[Event], *, outside: bool = False, retry: Retry | None = None) -> Callable[[F], F]:
        """Declare the function that undoes a step; it receives the event that said the step was done."""
        self._must_be_an_event("undo", done)

        def declare(function: F) -> F:
            if done.type_name() in self.undos:
                raise DefinitionError(f"{self.name}: two ways to undo {done.type_name()}")
            self.undos[done.type_name()] = self._handler(function, done, outside=outside, retry=retry)
            return function

        return declare

    def close(self, done: type[Event], *, retry: Retry | None = None) -> Callable[[F], F]:
        """Declare the function that settles a begun step when its undo is requested.

        The function receives the event that triggered the step. It makes sure that no call under ``tx.key`` can succeed
        any more, then returns the step's done event if the effect happened, or None if it did not and never will.
        """
        self._must_be_an_event("close", done)

        def declare(function: F) -> F:
            if done.type_name() in self.closes:
                raise DefinitionError(f"{self.name}: two ways to close {done.type_name()}")
            takes = self._takes(function)
            self.closes[done.type_name()] = self._handler(function, takes, outside=True, retry=retry)
            return function

        return declare

    @property
    def functions(self) -> tuple[Handler, ...]:
        """Return every declared function: handlers, undo functions and close functions."""
        return (*self.handlers.values(), *self.undos.values(), *self.closes.values())

    def performing(self, done: str) -> Handler | None:
        """Return the handler that publishes this done event."""
        return next(
            (
                handler
                for handler in self.handlers.values()
                if any(kind.type_name() == done and not issubclass(kind, Refusal) for kind in handler.publishes)
            ),
            None,
        )

    def ledger_field(self, done: str) -> str | None:
        """Return the ledger's field for the step with this done event, None if this participant does not perform it."""
        if done in self.beginnings:
            return BEGINNING
        handler = self.performing(done)
        return handler.name if handler else None

    def _must_be_an_event(self, how: str, given: object) -> None:
        """Refuse ``@hotel.on`` without an event, which would replace the function by the decorator."""
        if not (isinstance(given, type) and issubclass(given, Event)):
            raise DefinitionError(f"{given!r} is not the class of an event, as in {self.name}.{how}(TripBooked)")

    def _must_be_a_retry(self, given: object) -> None:
        if not isinstance(given, Retry):
            raise DefinitionError(f"{self.name}: retry must be such as Retry(attempts=3), got {given!r}")

    def _must_be_told_apart(self, handler: Handler) -> None:
        """Refuse a handler whose ledger entries could not be distinguished from another handler's.

        The ledger would take it for a handler that has run already, or would answer a request about its step from the
        other handler's entry.
        """
        where = f"{self.name}: {handler.name!r}"
        if handler.name == BEGINNING:
            raise DefinitionError(f"{where} is what the ledger calls the beginning of a saga; give it another name")
        for other in self.handlers.values():
            if other.name == handler.name:
                raise DefinitionError(
                    f"{where} handles {other.takes.type_name()} already, and the ledger knows a handler by its name;"
                    f" give the one for {handler.takes.type_name()} another"
                )
            for kind in handler.publishes:
                if kind in other.publishes and not issubclass(kind, Refusal):
                    raise DefinitionError(
                        f"{where} says {kind.type_name()}, as {other.name!r} does, and who asks about a step names it"
                        " by that event; give one of them an event of its own"
                    )

    def _must_publish(self, event: type[Event]) -> None:
        _must_not_pass_for_the_librarys(event)
        if event.by != self.name:
            raise DefinitionError(
                f"{event.type_name()} is published by {event.by or 'nobody'!r}, not by {self.name!r}; "
                f"declare it as class {event.type_name()}(Event, by={self.name!r})"
            )

    def _takes(self, function: Function) -> type[Event]:
        hints = _hints(self.name, function)
        first = next(iter(inspect.signature(function).parameters), "")
        takes = hints.get(first)
        if not (isinstance(takes, type) and issubclass(takes, Event)):
            raise DefinitionError(f"{self.name}.{function.__name__}: the first parameter must be an event")
        return takes

    def _handler(
        self, function: Function, takes: type[Event], *, outside: bool, retry: Retry | None, name: str | None = None
    ) -> Handler:
        where = f"{self.name}.{function.__name__}"
        if not inspect.iscoroutinefunction(function):
            raise DefinitionError(f"{where} must be an async function")
        hints = _hints(self.name, function)
        parameters = list(inspect.signature(function).parameters)
        if len(parameters) < 2:
            raise DefinitionError(f"{where} must take an event and a transaction")
        if self._takes(function) is not takes:
            other = self._takes(function).type_name()
            raise DefinitionError(f"{where} is declared for {takes.type_name()} but takes {other}")
        if retry is not None:
            self._must_be_a_retry(retry)
        for resource in parameters[2:]:
            if resource not in hints:
                raise DefinitionError(f"{where} must say of which type {resource!r} is: it is given by its type")
        if "return" not in hints:
            raise DefinitionError(f"{where} must say in its return annotation which events it publishes")
        parts = _parts(hints["return"])
        publishes = _events_in(where, parts)
        for kind in publishes:
            self._must_publish(kind)
        return Handler(
            name=name or function.__name__,
            function=function,
            takes=takes,
            publishes=publishes,
            may_say_nothing=type(None) in parts,
            is_outside=outside,
            retry=retry or self.retry,
            resources={resource: hints[resource] for resource in parameters[2:]},
        )


def _must_not_pass_for_the_librarys(event: type[Event]) -> None:
    name = event.type_name()
    if _LIBRARYS.get(name, event) is not event:
        raise DefinitionError(f"{name} is what the library calls an event of its own, for which it would be taken")


def _hints(participant: str, function: Function) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        raise DefinitionError(
            f"{participant}.{function.__name__}: {error}; annotations must name things imported at module level"
        ) from None


def _parts(annotation: object) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _events_in(where: str, parts: tuple[Any, ...]) -> tuple[type[Event], ...]:
    events = tuple(part for part in parts if part is not type(None))
    for kind in events:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise DefinitionError(f"{where} returns {kind!r}, which is not an event")
    return events
