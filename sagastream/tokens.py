"""The operators' token of a shop run from the checkout: made at its start, kept in its run directory, gone at its end.

Only its user may read the file. It is good on the loopback address alone; beyond it ``OPERATOR_TOKEN`` must be set.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from sagastream.settings import Settings


def token_file(settings: Settings) -> Path:
    """Return where a running shop keeps the token it made for itself."""
    return settings.data_dir / "run" / "operator.token"


def operator_token(settings: Settings) -> SecretStr | None:
    """Return the token that is set, else the one that the shop running with the same ``DATA_DIR`` made for itself."""
    return settings.operator_token or made_token(settings)


def made_token(settings: Settings) -> SecretStr | None:
    """Return the token that the shop running with the same ``DATA_DIR`` made for itself, None if it made none."""
    try:
        text = token_file(settings).read_text().strip()
    except OSError:
        return None
    return SecretStr(text) if text else None


@contextmanager
def token_of_its_own(settings: Settings) -> Iterator[None]:
    """Make a token for as long as the block runs, unless one is set. Hold the lock of the run directory meanwhile."""
    file = token_file(settings)
    file.unlink(missing_ok=True)  # of a run that was killed
    if settings.operator_token is not None:
        yield
        return
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fresh:
        fresh.write(f"{secrets.token_hex(32)}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
