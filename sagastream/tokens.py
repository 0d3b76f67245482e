"""The operators' token of a shop run from the checkout, kept in its run directory from the shop's start to its end.

Only the shop's own user may read the file. The token serves on the loopback address only; to listen on any other
address, ``OPERATOR_TOKEN`` must be set.
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
    """Return the path of the file in which a running shop keeps the token it made."""
    return settings.data_dir / "run" / "operator.token"


def operator_token(settings: Settings) -> SecretStr | None:
    """Return ``OPERATOR_TOKEN``, or the token that the shop running with the same ``DATA_DIR`` made."""
    return settings.operator_token or made_token(settings)


def made_token(settings: Settings) -> SecretStr | None:
    """Return the token that the shop running with the same ``DATA_DIR`` made, None if it made none."""
    try:
        text = token_file(settings).read_text().strip()
    except OSError:
        return None
    return SecretStr(text) if text else None


@contextmanager
def token_of_its_own(settings: Settings) -> Iterator[None]:
    """Make a token for the duration of the block, unless one is set. The caller must hold the run directory's lock."""
    file = token_file(settings)
    file.unlink(missing_ok=True)  # left over from a run that was killed
    if settings.operator_token is not None:
        yield
        return
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fresh:
        fresh.write(f"{secrets.token_hex(32)}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
