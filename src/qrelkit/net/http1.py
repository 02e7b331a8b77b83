"""HTTP/1.1 as a chat call needs it, as bytes: one POST out, one answer in. (Its sockets are connections.py's.)

    RFC 9112    status line and fields, an old server's folded lines too; Content-Length, chunks and trailers, bodies that end
                with their connection; 1xx answers are passed over, 204 and 304 have no body
    RFC 9110    a field that comes twice is one list; gzip and deflate, which are not asked for, are undone

What is none of this is `Broken`, in words for a person. Trailers are not kept.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, ItemsView, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError

if TYPE_CHECKING:
    from yarl import URL

HEAD_BYTES = 64 * 2**10
BODY_BYTES = 256 * 2**20
LINE_BYTES = 4 * 2**10  # the size of a chunk and what a server says of it
LENGTH_DIGITS = 15

_HEAD = re.compile(r"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?((?:\r\n[!#-'*+.0-9A-Z^-z|~-]+:[^\r\n\0]*)*)")
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?", re.DOTALL)
_CONTROL = re.compile(r"[\0-\x1f\x7f]")

Reading = Generator[None, None, bytes]  # yields where more must come


class Broken(OSError):
    """What came is no answer that can be used, or it broke off; the text is for people."""


def head(url: URL, headers: Mapping[str, str]) -> bytes:
    """A POST up to the number of its Content-Length: the same for all that goes to one address.

    Raises InputError for a header that would be more than one.
    """
    fields = {"Host": url.host_port_subcomponent, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
    lines = [f"POST {url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "Content-Length: "]
    for line in lines:
        if _CONTROL.search(line):
            raise InputError(f"the header {line.partition(':')[0]!r} holds a control character")
    return "\r\n".join(lines).encode()


class Headers(Mapping[str, str]):
    """The fields of an answer; upper and lower case are the same, and names are iterated in lower case."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def items(self) -> ItemsView[str, str]:
        return self._values.items()


class Answer:
    """One answer, read from bytes as they come, however they are cut: `feed` until it says that the answer is whole.

    Then `status`, `headers` and `body` stand, and `keeps` says whether another question may follow on the connection.
    """

    __slots__ = ("_at", "_data", "_ended", "_got", "_length", "_reading", "_to_the_end", "body", "headers", "keeps", "status")

    def __init__(self) -> None:
        self.status, self.headers, self.body, self.keeps = 0, Headers({}), b"", False
        self._data, self._at = b"", 0
        self._got, self._length = 0, -1  # bytes of the body; −1 where nobody said how many there are
        self._to_the_end = self._ended = False
        self._reading = self._read()

    def feed(self, data: bytes) -> bool:
        """Whether the answer is whole with these bytes; raises Broken where it never will be."""
        rest = self._data[self._at :]
        self._data, self._at = rest + data if rest else data, 0
        return next(self._reading, self) is self  # what it is given back where the reading is over

    def end(self) -> None:
        """The connection is over: raises Broken where that does not make the answer whole."""
        if not self._to_the_end:
            raise Broken(self.broke_off)
        self._ended = True
        self.feed(b"")

    @property
    def begun(self) -> bool:
        """Whether any byte came."""
        return bool(self._data or self.status)

    @property
    def broke_off(self) -> str:
        """How far it came, for an error."""
        if not self.begun:
            return "the connection was closed before an answer came"
        if self.status < 200:
            return "the answer was not completed, it broke off in its headers"
        of = f" of {self._length:,}" if self._length >= 0 else ""
        return f"the answer was not completed, it broke off after {self._got:,}{of} bytes"

    def _read(self) -> Generator[None, None, None]:
        """The grammar of an answer, from its first byte to its last."""
        while self.status < 200:
            if not b"HTTP/1.".startswith(self._data[self._at : self._at + 7]):
                raise Broken(f"what answers there speaks no HTTP/1.1: {self._data[self._at : self._at + 40]!r}")
            fields = self._head((yield from self._until(b"\r\n\r\n", HEAD_BYTES)))
        coding, length = fields.get("transfer-encoding"), fields.get("content-length")
        if self.status in (204, 304):
            body = b""
        elif coding is not None:
            if coding.lower() != "chunked":
                raise Broken(f"sent an answer in the transfer coding {coding!r}, which was not asked for")
            body = yield from self._chunks()
        elif length is not None:
            self._length = _length(length)
            body = yield from self._take(self._length)
        else:
            self._to_the_end, self.keeps = True, False
            body = yield from self._take(BODY_BYTES + 1)
            _bounded(len(body))
        if self._at < len(self._data):
            self.keeps = False  # whatever follows was not asked for
        self.body = _decoded(body, fields.get("content-encoding", ""))

    def _head(self, block: bytes) -> dict[str, str]:
        """Takes up status and fields."""
        text = block.decode("latin-1")
        found = _HEAD.fullmatch(text) or _HEAD.fullmatch(_FOLD.sub(" ", text))
        if found is None or found[2] == "101":
            raise Broken(f"answered with a head that is none of HTTP/1.1: {text[:80]!r}")
        fields: dict[str, str] = {}
        for line in found[3].split("\r\n")[1:]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        self.status, self.headers = int(found[2]), Headers(fields)
        said = fields.get("connection")
        if said is None:
            self.keeps = found[1] == "1"
        else:
            said = said.lower()
            self.keeps = "close" not in said and (found[1] == "1" or "keep-alive" in said)
        return fields

    def _chunks(self) -> Reading:
        body = bytearray()
        while size := _chunk_size((yield from self._until(b"\r\n", LINE_BYTES))):
            _bounded(len(body) + size)
            body += yield from self._take(size)
            yield from self._until(b"\r\n", 0)
        left = HEAD_BYTES  # of trailers
        while line := (yield from self._until(b"\r\n", left)):
            left = max(0, left - len(line))
        return bytes(body)

    def _until(self, mark: bytes, most: int) -> Reading:
        """What comes before `mark`, at most so many bytes; the mark is passed over."""
        looked = self._at
        while (end := self._data.find(mark, looked)) < 0 and len(self._data) - self._at < most + len(mark):
            if self._data.find(b"\n\n", looked) >= 0:
                raise Broken("ends its lines with a bare line feed, which is no HTTP/1.1")
            looked = max(0, len(self._data) - self._at - len(mark) + 1)  # in what is then left over, followed by more
            yield
        if end < 0 or end - self._at > most:
            raise Broken(f"sent more than {most:,} bytes where {mark!r} was to come")
        found = self._data[self._at : end]
        self._at = end + len(mark)
        return found

    def _take(self, size: int) -> Reading:
        """The next so many bytes, fewer where the connection ends."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        self._got += len(piece)
        if len(piece) == size:
            return piece
        pieces, missing = [piece], size - len(piece)
        while missing and not self._ended:
            yield
            piece = self._data[:missing]
            self._at = len(piece)
            self._got += len(piece)
            missing -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)


def _bounded(size: int) -> None:
    if size > BODY_BYTES:
        raise Broken(f"the answer is larger than {BODY_BYTES // 2**20} MB")


def _length(said: str) -> int:
    """A Content-Length, which may be said more than once if it is the same."""
    numbers = {number.strip(" \t") for number in said.split(",")} if "," in said else {said}
    number = numbers.pop()
    if numbers or not (number.isdecimal() and len(number) <= LENGTH_DIGITS):
        raise Broken(f"said a Content-Length that is none: {said[:40]!r}")
    _bounded(int(number))
    return int(number)


def _chunk_size(line: bytes) -> int:
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise Broken(f"sent a chunk whose size is none: {line[:40]!r}")
    return int(found[1], 16)


def _decoded(body: bytes, coding: str) -> bytes:
    """The body as it was before a coding of zlib's."""
    coding = coding.lower()
    if not body or coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Broken(f"sent an answer coded as {coding!r}, which was not asked for")
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib by its first bytes; and deflate as some take it: bare
        inflate = zlib.decompressobj(bits)
        try:
            plain = inflate.decompress(body, BODY_BYTES + 1)
        except zlib.error:
            continue
        _bounded(len(plain))
        if inflate.eof:
            return plain
    raise Broken(f"sent {coding} that cannot be undone")
