"""HTTP/1.1 as bytes: every answer is read the same however it is cut, and what is no answer is said to be none.

Expected values come from RFC 9110 and 9112, and for answers at random from `http.client`.
"""

from __future__ import annotations

import gzip
import http.client
import io
import zlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from qrelkit.core.errors import InputError
from qrelkit.net.http1 import BODY_BYTES, HEAD_BYTES, Answer, Broken, head

TEXT = b'{"a": "\xc3\xa4"}'
BARE = zlib.compressobj(wbits=-15)
CODED = {"gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT), "Deflate": BARE.compress(TEXT) + BARE.flush()}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Whole:
    """An answer and what it says; `to_the_end`: it is whole when its connection ends."""

    raw: bytes
    status: int = 200
    body: bytes = b"abc"
    keeps: bool = True
    to_the_end: bool = False


ANSWERS = {
    "length": Whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
    "nothing": Whole(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length:0\r\nRetry-After: 1\r\n\r\n", 429, b""),
    "no reason": Whole(b"HTTP/1.1 500\r\nContent-Length: 3\r\n\r\nabc", 500),
    "line feeds in the body": Whole(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\n\n\r\n\r\n\r\n", body=b"\n\n\r\n\r\n\r\n"),
    "chunks": Whole(CHUNKED + b'1\r\na\r\n2;x="y"\r\nbc\r\n0\r\n\r\n'),
    "chunks of line ends": Whole(CHUNKED + b"4\r\n\r\n\n\n\r\n00A\r\n0123456789\r\n0\r\n\r\n", body=b"\r\n\n\n0123456789"),
    "trailers": Whole(CHUNKED + b"3 \r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
    "length and chunks": Whole(CHUNKED[:-2] + b"Content-Length: 99\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    "interim": Whole(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    ),
    "204": Whole(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204, b""),
    "304": Whole(b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b""),
    "close": Whole(b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 3\r\n\r\nabc", keeps=False),
    "to the end": Whole(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc", keeps=False, to_the_end=True),
    "old": Whole(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", keeps=False),
    "old, to the end": Whole(b"HTTP/1.0 200 OK\r\n\r\nabc", keeps=False, to_the_end=True),
    "old, kept": Whole(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc"),
    "length said twice": Whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "folded": Whole(b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\n\tc\r\nContent-Length: 3\r\n\r\nabc"),
} | {
    coding: Whole(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding.encode(), len(raw), raw), body=TEXT
    )
    for coding, raw in CODED.items()
}


def read(*pieces: bytes, end: bool = False) -> Answer:
    """The answer, which must be whole with the last piece (or with the end after it) and not before."""
    answer = Answer()
    for number, piece in enumerate(pieces, 1):
        assert answer.feed(piece) == (number == len(pieces) and not end)
    if end:
        answer.end()
    return answer


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_wherever_it_is_cut(name: str) -> None:
    whole = ANSWERS[name]
    raw, size = whole.raw, len(whole.raw)
    cuts = [(raw,), tuple(raw[i : i + 1] for i in range(size))]
    cuts += [(raw[:i], raw[i:j], raw[j:]) for j in range(2, size) for i in range(1, j)]
    for pieces in cuts:
        answer = read(*pieces, end=whole.to_the_end)
        assert (answer.status, answer.body, answer.keeps) == (whole.status, whole.body, whole.keeps)


@pytest.mark.parametrize("name", [name for name, whole in ANSWERS.items() if not whole.to_the_end])
def test_an_answer_that_ends_too_soon_broke_off(name: str) -> None:
    raw = ANSWERS[name].raw
    for size in range(len(raw)):
        answer = Answer()
        assert size == 0 or not answer.feed(raw[:size])
        assert answer.begun == (size > 0)
        with pytest.raises(Broken, match="broke off" if size else "before an answer came"):
            answer.end()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-", "not completed, it broke off in its headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "broke off in its headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n01234", "broke off after 5 of 1,000 bytes"),
        (CHUNKED + b"3\r\nabc\r\n5\r\nde", "broke off after 5 bytes"),
    ],
)
def test_how_far_it_came_is_said(raw: bytes, says: str) -> None:
    answer = Answer()
    answer.feed(raw)
    with pytest.raises(Broken, match=says):
        answer.end()


@pytest.mark.parametrize("name", [name for name, whole in ANSWERS.items() if not whole.to_the_end])
def test_after_bytes_that_nobody_asked_for_nothing_else_is_asked(name: str) -> None:
    whole = ANSWERS[name]
    answer = read(whole.raw + b"HTTP/1.1 200 OK\r\n")
    assert (answer.body, answer.keeps) == (whole.body, False)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"speaks no HTTP/1\.1: b'SSH-2\.0"),
        (b"\x15\x03\x01\x00\x02\x02", r"speaks no HTTP/1\.1"),
        (b"HTTP/2 200\r\n\r\n", r"speaks no HTTP/1\.1"),
        (b"HTTP/1.1 99 No\r\n\r\n", "head that is none"),
        (b"HTTP/1.1 2OO OK\r\n\r\n", "head that is none"),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", "head that is none"),
        (b"HTTP/1.1 200OK\r\n\r\n", "head that is none"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "head that is none"),
        (OK + b"no colon\r\n\r\n", "head that is none"),
        (OK + b"Content-Length : 3\r\n\r\nabc", "head that is none"),
        (OK + b": empty\r\n\r\n", "head that is none"),
        (OK + b"X: a\rb\r\n\r\n", "head that is none"),
        (OK + b"X: a\nb: c\r\n\r\n", "head that is none"),
        (OK + b"X: a\0\r\n\r\n", "head that is none"),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "bare line feed"),
        (OK + b"Content-Length: -1\r\n\r\n", "Content-Length that is none: '-1'"),
        (OK + b"Content-Length: 3, 4\r\n\r\nabcd", "Content-Length that is none: '3, 4'"),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "Content-Length that is none"),
        (OK + b"Content-Length: \xb2\r\n\r\n", "Content-Length that is none"),
        (OK + b"Content-Length: \r\n\r\n", "Content-Length that is none"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length that is none"),
        (OK + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES + 1), "larger than 256 MB"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer coding 'gzip, chunked'"),
        (CHUNKED + b"x\r\n", "chunk whose size is none: b'x'"),
        (CHUNKED + b"-1\r\n", "chunk whose size is none"),
        (CHUNKED + b"0x1\r\n", "chunk whose size is none"),
        (CHUNKED + b"\r\n", "chunk whose size is none"),
        (CHUNKED + b"3\r\nabcd\r\n", "more than 0 bytes"),
        (CHUNKED + b"%x\r\n" % (BODY_BYTES + 1), "larger than 256 MB"),
        (CHUNKED + b"1;" + b"x" * 5000, "more than 4,096 bytes"),
        (CHUNKED + b"0\r\n" + b"X: 1\r\n" * HEAD_BYTES, r"more than \d+ bytes"),
        (OK + b"X: " + b"x" * HEAD_BYTES, "more than 65,536 bytes"),
        (OK + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n", "more than 65,536 bytes"),
        (OK + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc", "coded as 'br'"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "gzip that cannot be undone"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + CODED["gzip"][:12], "gzip that cannot be undone"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(raw: bytes, says: str) -> None:
    with pytest.raises(Broken, match=says):
        Answer().feed(raw)


def test_limits_hold_for_bytes_that_come_one_by_one() -> None:
    answer = Answer()
    answer.feed(OK + b"X: ")
    with pytest.raises(Broken, match="more than 65,536"):
        _ = [answer.feed(b"x") for _ in range(HEAD_BYTES)]


def test_a_small_body_does_not_become_more_than_is_allowed() -> None:
    pack = zlib.compressobj(1, wbits=31)
    start = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
    more = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)  # after a full flush: the same for every megabyte
    raw = start + more * (BODY_BYTES // 2**20)
    with pytest.raises(Broken, match="larger than 256 MB"):
        Answer().feed(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(raw), raw))


def test_headers_are_found_in_whatever_case_and_those_said_twice_are_one_list() -> None:
    raw = OK + b"content-TYPE:\t a/b \r\nX-RateLimit-Remaining: 1\r\nvia: a\r\nVia: b\r\nEmpty:\r\nContent-Length: 0\r\n\r\n"
    headers = read(raw).headers
    assert (headers["Content-Type"], headers.get("CONTENT-TYPE"), headers.get("none")) == ("a/b", "a/b", None)
    assert (headers["Via"], headers["Empty"], "x-ratelimit-remaining" in headers, "Location" in headers) == (
        "a, b",
        "",
        True,
        False,
    )
    assert list(headers) == ["content-type", "x-ratelimit-remaining", "via", "empty", "content-length"]
    assert dict(headers.items())["via"] == "a, b"
    assert len(headers) == 5
    with pytest.raises(KeyError):
        headers["none"]


class Sent:
    """A socket of `http.client`'s that holds an answer."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.raw)


NAMES = st.text("abcXYZ019-_!", min_size=1, max_size=12).map(lambda name: f"X-{name}")
VALUES = st.text('abc ;,="é\t', max_size=20).map(lambda value: value.strip(" \t"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.dictionaries(NAMES, VALUES, max_size=6),
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.sampled_from(["length", "chunks", "end"]),
    st.data(),
)
def test_answers_at_random_are_read_as_pythons_own_client_reads_them(
    fields: dict[str, str], body: list[bytes], framing: str, data: st.DataObject
) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields.items())
    if framing == "chunks":
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in body)
        raw += b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    else:
        size = b"Content-Length: %d\r\n" % sum(map(len, body)) if framing == "length" else b""
        raw += size + b"\r\n" + b"".join(body)
    theirs = http.client.HTTPResponse(Sent(raw))
    theirs.begin()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    pieces = [raw[i:j] for i, j in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    ours = read(*pieces, end=framing == "end")
    assert ours.body == theirs.read() == b"".join(body)
    assert all(ours.headers[name] == ", ".join(theirs.headers.get_all(name)) for name in theirs.headers)
    theirs.close()


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        ("http://127.0.0.1:8000/v1/chat", b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"),
        ("https://models.example/a%20b?api-version=1", b"POST /a%20b?api-version=1 HTTP/1.1\r\nHost: models.example\r\n"),
        ("http://[::1]:80", b"POST / HTTP/1.1\r\nHost: [::1]\r\n"),
    ],
)
def test_the_head_of_a_request_lacks_nothing_but_its_length(url: str, begins: bytes) -> None:
    sent = head(URL(url), {"Authorization": "Bearer k", "Content-Type": "application/json"})
    assert sent == begins + (
        b"Accept: */*\r\nAccept-Encoding: identity\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
        b"Content-Length: "
    )


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "a\0"])
def test_a_header_cannot_become_two(value: str) -> None:
    with pytest.raises(InputError, match="header 'X-Key' holds a control character"):
        head(URL("http://127.0.0.1"), {"X-Key": value})
