"""Plays scenes: places each order, draws its saga live, and tells whether it ended as expected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from coordinator.order_saga import order_saga
from demo.scenes import Scene, Twist
from demo.shop import PACE, PREFIX, Placed, Shop
from events import OrderCreated, StockReserved
from sagastream.cli.follower import Follower
from sagastream.cli.looking import now_of
from sagastream.cli.screen import Screen
from sagastream.cli.watching import has_ended
from sagastream.coordinator.views import StateView
from sagastream.drawing import TONES, Line, Part, Tone
from sagastream.event import Event
from sagastream.saga.lifecycle import Status
from sagastream.timeline import REPEATED, timeline

_LONGEST = timedelta(seconds=12)
_THINKING = timedelta(seconds=0.3)  # how long a customer looks at an order before cancelling it
_CUES: Mapping[Twist, type[Event]] = {Twist.DELIVER_AGAIN: OrderCreated, Twist.CANCEL: StockReserved}


class Stage:
    """One shop, one screen, and a follower of the shop's sagas."""

    def __init__(self, shop: Shop, screen: Screen) -> None:
        self._shop = shop
        self._screen = screen
        self._follower = Follower([order_saga(PACE)], bus=shop.bus, prefix=PREFIX)

    async def open(self) -> None:
        """Start following."""
        await self._follower.open()

    async def play(self, number: int, scene: Scene) -> bool:
        """Play one scene; return whether its saga ended as expected.

        Raises: ``ShopTrouble``.
        """
        title = Line((Part(f"{number}. {scene.title}", Tone.STRONG),))
        self._screen.say("", title, Line((Part("   announced: ", Tone.FAINT), Part(scene.ends, TONES[scene.ends]))))
        placed = await self._shop.place(scene.body())
        try:
            async with asyncio.timeout(_LONGEST.total_seconds()):
                status = await self._followed(scene, placed)
        except TimeoutError:
            status = None
        self._screen.say(_verdict(scene, status))
        return status is scene.ends

    async def _followed(self, scene: Scene, placed: Placed) -> Status:
        self._follower.only = placed.saga_id
        twist: asyncio.Task[None] | None = None
        view: StateView | None = None
        try:
            with self._screen.drawing() as show:
                while view is None or not _is_over(scene.twist, view):
                    for change in await self._follower.changes(timedelta(seconds=1)):
                        view = change.view
                    if view is None:
                        continue
                    now = now_of(self._follower)
                    show(timeline(view, now=now, look=self._screen.look))
                    if twist is None and _is_cue(scene.twist, view):
                        twist = asyncio.create_task(self._twist(scene.twist, placed))
            if twist is not None:
                await twist
        finally:
            if twist is not None:
                twist.cancel()
        return view.status

    async def _twist(self, twist: Twist, placed: Placed) -> None:
        if twist is Twist.CANCEL:
            await asyncio.sleep(_THINKING.total_seconds())
            await self._shop.cancel(placed)
        else:
            await self._shop.deliver_again(placed)


def _is_cue(twist: Twist, view: StateView) -> bool:
    cue = _CUES.get(twist)
    return cue is not None and any(note.type == cue.type_name() for note in view.history)


def _is_over(twist: Twist, view: StateView) -> bool:
    """Tell whether there is nothing more to see; a repeated delivery may come after the end."""
    has_come_again = any(note.kind == REPEATED for note in view.history)
    return has_ended(view) and (has_come_again or twist is not Twist.DELIVER_AGAIN)


def _verdict(scene: Scene, status: Status | None) -> Line:
    if status is scene.ends:
        return Line((Part("   as announced", Tone.FORWARD),))
    ended = f"it ended {status}" if status else f"it did not end within {_LONGEST.total_seconds():g} s"
    return Line((Part(f"   NOT AS ANNOUNCED: {ended}", Tone.STOPPED),))
