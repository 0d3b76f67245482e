"""``python -m tests.mutants [patch …]``: plants every bug of the table into a copy and sees that its killer notices.

Ends with 1 if a bug survives, if a patch no longer applies, or if a killer fails without any bug.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue

from tests.mutants.copies import Copy, DoesNotApply, is_a_kill
from tests.mutants.table import TABLE, Mutant

AT_ONCE = 2
SOUND = "no bug planted"


def main(wanted: list[str], copied: Callable[[Path], Copy] = Copy) -> int:
    """Try the named mutants, or all, and tell a line about each."""
    chosen = [mutant for mutant in TABLE if not wanted or mutant.patch in wanted]
    unknown = set(wanted) - {mutant.patch for mutant in chosen}
    if unknown:
        sys.stderr.write(f"no such row in tests/mutants/table.py: {', '.join(sorted(unknown))}\n")
        return 2
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(AT_ONCE) as threads:
        copies: Queue[Copy] = Queue()
        for copy in threads.map(copied, (Path(folder) / str(number) for number in range(AT_ONCE))):
            copies.put(copy)
        killers = list(dict.fromkeys(mutant.killer for mutant in chosen))
        jobs = [threads.submit(_in_a_copy, copies, SOUND, partial(_sound, killers=killers))]
        jobs += [threads.submit(_in_a_copy, copies, m.patch, partial(_tried, mutant=m)) for m in chosen]
        failures = 0
        for job in jobs:
            name, is_well, told = job.result()
            failures += not is_well
            sys.stdout.write(f"{name:38} {told}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} mutants, {failures} failures, {time.monotonic() - begun:.0f} s\n")
    return 1 if failures else 0


def _in_a_copy(copies: Queue[Copy], name: str, job: Callable[[Copy], tuple[bool, str]]) -> tuple[str, bool, str]:
    copy = copies.get()
    try:
        return name, *job(copy)
    except DoesNotApply as error:
        return name, False, f"DOES NOT APPLY: {error}"
    except subprocess.TimeoutExpired as error:
        return name, False, f"DID NOT END within {error.timeout:g} s"
    finally:
        copies.put(copy)


def _sound(copy: Copy, killers: list[str]) -> tuple[bool, str]:
    said = copy.run(*killers)
    return said is None, f"all {len(killers)} killers pass" if said is None else f"A KILLER FAILS: {said}"


def _tried(copy: Copy, mutant: Mutant) -> tuple[bool, str]:
    with _planted(copy, mutant):
        said = copy.run(mutant.killer)
    if said is None:
        return False, f"SURVIVED {mutant.killer}"
    if not is_a_kill(said, mutant.caught_as):
        return False, f"NO PROMISE BROKEN: {said}"
    return True, f"killed by {mutant.killer}"


@contextmanager
def _planted(copy: Copy, mutant: Mutant) -> Iterator[None]:
    copy.plant(mutant)
    try:
        yield
    finally:
        copy.take_out(mutant)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
