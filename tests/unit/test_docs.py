"""README and docs say what is so: programs run, paths exist, the diagram is the table's.

What needs a server or a shop is run by ``tests/processes/test_documents.py``.
"""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import sys
import types
from collections.abc import Iterator
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from coordinator.order_saga import ORDER
from money import Currency
from order_service.requests import read_order
from sagastream import Participant
from sagastream.cli.words import parser
from sagastream.consumer import Consumer
from sagastream.coordinator.tracker import Coordinator
from sagastream.coordinator.views import OpenView, SagaView, StateView, StepView, WaitView
from sagastream.keys import COORDINATOR
from sagastream.saga.diagram import diagram
from sagastream.saga.lifecycle import Status
from sagastream.saga.standing import StepStatus, UndoStatus
from tests.documents import DOCUMENTS, LANGUAGES, README, ROOT, Block, blocks, prose
from tests.unit.core.world import World, in_virtual_time

WALK = ROOT / "docs" / "walk.md"
ADD_A_STEP = ROOT / "docs" / "how-to" / "add-a-step.md"
ROLL_OUT = ROOT / "docs" / "how-to" / "roll-out.md"
PROGRAMS = [document for document in DOCUMENTS if any(not block.file for block in blocks(document, "python"))]
NOT_RUN_HERE = [block for document in DOCUMENTS for block in blocks(document) if block.mark]
TOP_LEVEL = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_STEP_OF_WALK = re.compile(r"^\| \d \| `(\S+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)


def paths(document: Path) -> Iterator[str]:
    """Yield what a document names as a path of this checkout."""
    text = prose(document)
    for code in _CODE.findall(text):
        is_path = _PATH.fullmatch(code) and (code.partition("/")[0] in TOP_LEVEL or code.endswith((".py", ".md")))
        if (is_path and "/" in code) or code in TOP_LEVEL:
            yield code
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        yield str((document.parent / target).relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_a_document_names_exists(document: Path) -> None:
    missing = [path for path in paths(document) if not (ROOT / path).exists() and not (document.parent / path).exists()]

    assert not missing


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 120


@pytest.mark.parametrize("document", PROGRAMS, ids=lambda path: path.name)
def test_the_programs_of_a_document_run(document: Path) -> None:
    """One after the other, exactly as printed; those with a file name are run where the commands are."""
    module = types.ModuleType(f"document_{document.stem}")
    sys.modules[module.__name__] = module  # annotations are looked up there
    try:
        for block in blocks(document, "python"):
            if not block.file:
                exec(compile(block.text, document.name, "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]


@in_virtual_time
async def test_the_step_that_is_added_is_not_done_for_what_ended_before() -> None:
    """Its events are still in their streams when the new participant reads for the first time."""
    module = types.ModuleType("document_added")
    sys.modules[module.__name__] = module
    try:
        exec(compile(blocks(ADD_A_STEP, "python")[0].text, ADD_A_STEP.name, "exec"), module.__dict__)
        world, held = World(), module.__dict__["RoomHeld"]
        world.tell(held(), "ended")
        consumer = world.consumer(module.__dict__["bank"])
        async with world.running(consumer):
            await world.until(consumer.is_ready)
            world.tell(held(), "new")
            await world.quiet()
    finally:
        del sys.modules[module.__name__]

    assert [event["correlationid"] for event in world.events("bank", module.__dict__["CardCharged"])] == ["new"]


@pytest.mark.parametrize("forward", [("saga", "bank", "hotel", "desk"), ("desk", "hotel", "bank", "saga")])
@in_virtual_time
async def test_releases_of_the_roll_out_page_stand_side_by_side_in_any_order(forward: tuple[str, ...]) -> None:
    """Process by process forward, back while newer sagas are open, and forward again: every saga goes its own way."""
    module = types.ModuleType("document_rolled_out")
    sys.modules[module.__name__] = module
    try:
        exec(compile(blocks(ROLL_OUT, "python")[0].text, ROLL_OUT.name, "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    told = module.__dict__
    newer = {name: told[name] for name in ("desk", "hotel", "bank")}
    older = {name: Participant(name) for name in ("desk", "hotel")}
    older["desk"].begins(told["TripBooked"], saga="trip", version=1)
    older["hotel"].on(told["TripBooked"])(told["hold_room"])
    older["hotel"].undo(told["RoomHeld"])(told["give_room_back"])
    older["desk"].on(told["RoomHeld"])(told["confirm"])
    older["desk"].undo(told["TripBooked"])(told["cancel"])
    world, trips = World(), dict[str, str]()

    def worker(name: str, is_newer: bool) -> Consumer | Coordinator | None:
        if name == COORDINATOR:
            tables = [told["OLD_TRIP"], told["TRIP"]] if is_newer else [told["OLD_TRIP"]]
            return world.coordinator(*tables, ordinal=1 + is_newer)
        one = (newer if is_newer else older).get(name)
        return None if one is None else world.consumer(one, ordinal=1 + is_newer)

    async with AsyncExitStack() as shop:
        running: dict[tuple[str, bool], AsyncExitStack] = {}

        async def stop(name: str, is_newer: bool) -> None:
            if (name, is_newer) in running:
                await running.pop((name, is_newer)).aclose()

        async def start(name: str, is_newer: bool) -> None:
            if (one := worker(name, is_newer)) is not None:
                running[name, is_newer] = stack = await shop.enter_async_context(AsyncExitStack())
                await stack.enter_async_context(world.running(one))
            for _ in range(3):  # while both are there, if both there are
                for cast, begins in ((older, "TripBooked"), (newer, "TripOrdered")):
                    key = f"request-{len(trips)}"
                    begun = await world.entrance(cast["desk"]).begin(told[begins](), key=key)
                    trips[begun.saga_id] = "1" if begins == "TripBooked" else "2"
                await asyncio.sleep(0.5)
            await stop(name, not is_newer)

        for name in (COORDINATOR, "hotel", "desk"):
            await start(name, False)
        for name, is_newer in [
            *((n, True) for n in forward),
            *((n, False) for n in forward),
            *((n, True) for n in forward),
        ]:
            await start(name, is_newer)
        await world.until(lambda: {world.status(saga_id) for saga_id in trips} == {"Completed"})

    versions = {saga_id: world.hash(COORDINATOR, f"record:{saga_id}")["definition_version"] for saga_id in trips}
    charged = [event["correlationid"] for event in world.events("bank", told["CardCharged"])]
    assert versions == trips
    assert sorted(charged) == sorted(saga_id for saga_id, version in trips.items() if version == "2")
    assert [world.letters(name) for name in ("desk", "hotel", "bank", COORDINATOR)] == [[], [], [], []]


def test_every_block_is_of_a_kind_that_is_run_or_compared() -> None:
    """A kind that nobody looks at would be a place for what is not so."""
    languages = {block.language for document in DOCUMENTS for block in blocks(document)}

    assert languages <= LANGUAGES
    assert {"README.md", "call-outside.md", "add-a-step.md"} <= {document.name for document in PROGRAMS}


@pytest.mark.parametrize("block", NOT_RUN_HERE, ids=lambda block: block.text.split()[0])
def test_a_block_that_is_not_run_says_why_and_is_looked_at_all_the_same(block: Block) -> None:
    """What it starts exists: targets of make, words of our command, files that are named."""
    named = [word for word in re.split(r"[\s,;]+", block.why + " " + block.text) if re.search(r"\w/\w.*\.\w+$", word)]

    assert len(block.why) > 20
    assert [path for path in named if not path.startswith("'/") and not (ROOT / path).exists()] == []
    for line in block.text.splitlines():
        words = [word for word in shlex.split(line, comments=True) if "=" not in word]
        match words:
            case ["make", target]:
                assert target in targets()
            case ["sagastream", *rest]:
                parser().parse_args(rest)
            case ["python", "-m", module, *_]:
                assert find_spec(module) is not None
            case ["docker", "compose", "-f", file, *_]:
                assert (ROOT / file).is_file()
            case [word, *_]:
                assert word in {"export", "pip", "python", "redis-cli", "until", "cp"} or (ROOT / word).is_file(), line


def targets() -> set[str]:
    """Return what can be made."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_of_the_documents_is_a_target() -> None:
    named = {target for document in DOCUMENTS for target in re.findall(r"\bmake ([a-z-]+)", code_of(document))}

    assert named <= targets()
    assert {"run", "test", "test-fast", "books", "check"} <= named


def code_of(document: Path) -> str:
    """Return everything a document sets as code, a line each."""
    return "\n".join([*(block.text for block in blocks(document)), *_CODE.findall(prose(document))])


def test_the_order_of_the_readme_is_accepted() -> None:
    commands = "\n".join(block.text for block in blocks(README, "sh"))
    (body,) = re.findall(r"-d '(\{.*?\})'$", commands, re.MULTILINE | re.DOTALL)

    order = read_order(body.encode(), Currency("EUR", 2), tolerance_cents=5)

    assert (order.total_amount_cents, order.items[0].total_price_cents) == (29999, 29998)


def test_the_timeline_of_the_readme_is_that_of_the_table() -> None:
    (timeline,) = blocks(README, "text")
    shown = re.findall(r"● (?:began|done) +([\w ]+?)  +(\w+) +(\w+)$", timeline.text, re.MULTILINE)

    begun = ("begin", ORDER.begun_by, ORDER.begins_with.type_name())
    assert shown == [begun, *((step.name, step.by, step.done.type_name()) for step in ORDER.steps)]


def test_the_diagram_of_the_walk_is_the_tables() -> None:
    """After a change of the table: `sagastream diagram order`, and copy it between the markers."""
    begin, end = (f"<!-- diagram of order: {edge} -->\n" for edge in ("begin", "end"))

    shown = WALK.read_text().partition(begin)[2].partition(end)[0]

    assert shown == f"```mermaid\n{diagram(ORDER)}\n```\n"


def test_every_station_of_the_walk_is_a_function_that_says_what_the_walk_says() -> None:
    stations = _STEP_OF_WALK.findall(WALK.read_text())

    wrong = [f"{file}: {what}" for file, what, then in stations if not _is_so(ROOT / file, what, then)]

    assert len(stations) == 10
    assert not wrong


def _is_so(file: Path, what: str, then: str) -> bool:
    """Tell whether functions named in a station exist, and together name the events it says come next."""
    functions = {
        node.name: ast.unparse(node)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    }
    named = [name for name in _CODE.findall(what) if name.isidentifier()]
    events = [name for name in _CODE.findall(then) if name[:1].isupper()]
    source = "".join(functions.get(name, "") for name in named)
    return bool(named) and all(name in functions for name in named) and all(event in source for event in events)


def test_the_reference_names_every_field_and_status() -> None:
    text = (ROOT / "docs" / "reference" / "sagas.md").read_text()
    fields = {
        field.alias
        for view in (SagaView, StateView, StepView, WaitView, OpenView)
        for field in view.model_fields.values()
    }

    missing = [word for word in (*fields, *Status, *StepStatus, *UndoStatus) if f"`{word}`" not in text]

    assert not missing
