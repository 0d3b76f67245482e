"""Rows of figures in a file, each with the machine it was measured on."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def append(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Append rows of the same columns, below a header if the file is new.

    Raises: ``ValueError`` if the file holds other columns; give each kind of figures a file of its own.
    """
    columns = list(rows[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists() or path.stat().st_size == 0
    if not is_new:
        with path.open(newline="") as file:
            if next(csv.reader(file)) != columns:
                raise ValueError(f"{path} holds other columns than {', '.join(columns)}")
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerows(rows)
