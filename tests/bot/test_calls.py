"""What becomes of calls that fail: no error tells a secret, and only some surely never left.

Of a broken TLS line only distrust comes surely before the message.
"""

import os
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from wechatpy.exceptions import APILimitedException, WeChatClientException

from bot import calls
from bot.calls import ApiError, Fate, NoToken, TooSoon
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


_SECRET = "s3cret-of-the-app"
_URL = f"{_HOST}/cgi-bin/token?appid=wx1&secret={_SECRET}"
_FAULTS: list[Exception] = [
    *(
        kind(f"HTTPSConnectionPool: Max retries exceeded with url: {_URL}")
        for kind in (
            requests.ConnectionError,
            requests.ConnectTimeout,
            requests.ReadTimeout,
            requests.TooManyRedirects,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.ProxyError,
            requests.exceptions.SSLError,
        )
    ),
    requests.JSONDecodeError("no JSON", f"<a href='{_URL}'>", 0),
    WeChatClientException(errcode=40125, errmsg=f"invalid {_URL}"),
    APILimitedException(errcode=45009, errmsg=f"limit of {_URL}"),
    ValueError(_URL),
    TypeError(_URL),
    KeyError(_URL),
    AttributeError(_URL),
]


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("ask", [calls.answered, calls.checked, calls.token_of])
def test_error_of_a_call_holds_nothing_of_what_the_fault_said(
    ask: Callable[..., object], fault: Exception
) -> None:
    def fail() -> None:
        raise fault

    with pytest.raises(ApiError) as raised:
        ask(fail)

    error = raised.value
    assert _SECRET not in "".join(traceback.format_exception(error)) + repr(error.args)
    assert (error.__cause__, error.__context__) == (None, None)


def test_refusal_of_our_own_limit_says_when_to_come_again() -> None:
    def count(path: str) -> None:
        assert path == "/cgi-bin/menu/get"
        raise TooSoon(42)

    with (
        calls.http_session(_HOST, "http://127.0.0.1:9", count=count) as http,
        pytest.raises(TooSoon) as raised,
    ):
        calls.answered(lambda: http.get(f"{_HOST}/cgi-bin/menu/get?access_token=t"))

    assert (raised.value.retry_after, raised.value.fate) == (42, Fate.UNSENT)


@pytest.mark.parametrize("life", [None, "7200", 10**12])
def test_token_with_a_strange_life_is_still_a_token(life: object) -> None:
    token, seconds = calls.token_of(lambda: {"access_token": "t", "expires_in": life})

    assert (token, seconds <= 86400) == ("t", True)


@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": 7}, [], None, "ok"])
def test_answer_without_a_token_is_none(answer: object) -> None:
    with pytest.raises(NoToken):
        calls.token_of(lambda: answer)
