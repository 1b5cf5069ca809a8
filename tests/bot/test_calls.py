"""What a broken TLS line says about a message: only distrust comes surely before it left."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot import calls
from bot.calls import ApiError, Fate
from store import clock

_HOST = "https://api.weixin.qq.com"
_WORDS = b"words for a member"
_SECONDS = 10
# The head of a TLS record with data, and 32 bytes that no key opens.
_GARBLED = b"\x17\x03\x03\x00\x20" + bytes(32)
Line = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its own certificate for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(clock.real() - timedelta(days=1))
        .not_valid_after(clock.real() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        certificate.public_bytes(encoding)
        + key.private_bytes(encoding, form, serialization.NoEncryption())
    )
    return path


@contextmanager
def listening(line: Line, pem: Path) -> Iterator[str]:
    """A server that does `line` to its one visitor, if the visitor trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def serve(server: socket.socket) -> None:
        visitor, _ = server.accept()
        visitor.settimeout(_SECONDS)
        with visitor, suppress(OSError), context.wrap_socket(visitor, server_side=True) as tls:
            line(tls)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, args=(server,))
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}"
        thread.join(_SECONDS)


def take_and_garble(tls: ssl.SSLSocket) -> None:
    """Take the whole message, and answer with what cannot be read."""
    taken = b""
    while _WORDS not in taken:
        taken += tls.read()
    os.write(tls.fileno(), _GARBLED)
    tls.read()


def fate_of_a_message(url: str) -> Fate:
    """Send words there; gives what became of them."""
    with calls.http_session(_HOST, url) as http, pytest.raises(ApiError) as raised:
        calls.answered(lambda: http.post(f"{_HOST}/cgi-bin/message/custom/send", data=_WORDS))
    return raised.value.fate


def test_a_message_may_have_arrived_when_tls_breaks_after_it_left(
    pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))

    with listening(take_and_garble, pem) as url:
        fate = fate_of_a_message(url)

    assert fate is Fate.LOST


def test_nothing_was_sent_to_a_server_that_is_not_trusted(pem: Path) -> None:
    with listening(take_and_garble, pem) as url:
        fate = fate_of_a_message(url)

    assert fate is Fate.UNSENT
