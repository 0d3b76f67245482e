"""A shop's store with the user and the encryption that the documents ask for: nothing that is needed is refused."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from sagastream import Runtime, Settings
from sagastream.bus import connect
from sagastream.cli.auditing import audit_sagas
from sagastream.cli.doctoring import doctor
from sagastream.cli.exits import DONE
from sagastream.cli.words import parser
from sagastream.doctor import permissions
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import COORDINATOR, Keys
from sagastream.ports import free_port
from tests.deploy.processes import wait_until
from tests.documents import ROOT
from tests.needs import program
from tests.trip import TRIP, TripBooked, bank, desk, hotel

PASSWORD = "a-secret-of-the-store"
SETTINGS = Settings(block=timedelta(milliseconds=50))
CAST = [desk, hotel, bank]
OF_THE_SERVER = {
    *("ping", "info", "config|get", "acl|whoami", "acl|dryrun"), *("client|setname", "client|info", "client|list")
}  # fmt: skip


def rule() -> list[str]:
    """Return the user as the document gives it to a server."""
    (line,) = re.findall(r"^redis-cli (ACL SETUSER .*)$", (ROOT / "docs/how-to/secure.md").read_text(), re.M)
    digest = sha256(PASSWORD.encode()).hexdigest()
    return [word.replace("$DIGEST", digest) for word in shlex.split(line)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield host and port of a server that speaks TLS only, and the certificate it shows."""
    directory, port = tmp_path_factory.mktemp("secured"), free_port()
    certificate, key = directory / "ca.pem", directory / "key.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    log = directory / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program("redis-server"), "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no",
             "--tls-cert-file", certificate, "--tls-key-file", key, "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--dir", directory],
            stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until(lambda: b"Ready to accept" in log.read_bytes(), "the server is ready", process, log)
        yield f"localhost:{port}", certificate
    finally:
        process.terminate()
        process.wait(10)


async def test_the_user_of_the_documents_is_refused_nothing_that_is_needed(
    place: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """By a saga that is undone, the audit of everything and the doctor, all of it encrypted."""
    at, certificate = place
    admin = connect(f"rediss://{at}/0?ssl_ca_certs={certificate}", name="test", block=timedelta(seconds=1))
    await admin.query.execute(*rule())
    await admin.query.execute("ACL", "LOG", "RESET")

    url = f"rediss://shop:{PASSWORD}@{at}/0?ssl_ca_certs={certificate}"
    async with Runtime(url, participants=CAST, sagas=[TRIP], settings=SETTINGS) as runtime:
        begun = await runtime.begin(TripBooked(nights=1, card="bad"), key="declined")
        assert await runtime.ended(begun.saga_id)
        audited = await audit_sagas(parser().parse_args(["audit"]), runtime.bus, SETTINGS, [TRIP], CAST, [])
        await doctor(parser().parse_args(["doctor"]), runtime.bus, SETTINGS, [TRIP], CAST)
        with pytest.raises(ReplyError, match="NOPERM"):
            await runtime.bus.query.execute("GET", "of-somebody-else")
    log = await admin.query.execute("ACL", "LOG")
    await admin.close()
    refused = [entry for entry in log if "client|setinfo" not in str(entry)] if isinstance(log, list) else []

    assert audited == DONE
    assert "'shop' may do everything that is needed" in capsys.readouterr().out
    assert len(refused) == 1, refused
    assert "'get'" in str(refused)


def test_the_user_of_the_documents_may_do_what_is_needed_and_no_more() -> None:
    needed = {str(command[0]).lower() for command in permissions.needed(Keys(SETTINGS.key_prefix, COORDINATOR))}

    assert {word[1:] for word in rule() if word.startswith("+")} == needed | OF_THE_SERVER
    assert f"~{SETTINGS.key_prefix}*" in rule()


async def test_a_server_whose_certificate_nobody_vouches_for_is_told_no_password(place: tuple[str, Path]) -> None:
    at, _ = place
    stranger = connect(f"rediss://shop:{PASSWORD}@{at}/0", name="test", block=timedelta(seconds=1))

    with pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED") as refused:
        await stranger.query.execute("PING")
    await stranger.close()

    assert PASSWORD not in str(refused.value)
