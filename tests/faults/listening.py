"""Somebody else's machine: a socket that counts who calls, and this process's own calls to others, before they are made."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

_heard: list[list[str]] = []  # an audit hook stays for ever: one is set, and notes only while somebody listens


@dataclass
class Ear:
    """`calls` are the connections that were made to it."""

    host: str
    port: int
    calls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def listening(host: str = "127.0.0.2") -> Iterator[Ear]:
    """A machine that is not this one's 127.0.0.1, on the loopback interface; skips, visibly, where there is none."""
    server = socket.socket()
    try:
        server.bind((host, 0))
    except OSError:
        pytest.skip(f"this machine has no {host}")
    server.listen()
    server.settimeout(0.05)
    ear, ended = Ear(host, server.getsockname()[1]), threading.Event()

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, caller = server.accept()
            except TimeoutError:
                continue
            ear.calls.append(str(caller))
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield ear
    finally:
        ended.set()
        thread.join(5)
        server.close()


@contextmanager
def calls_of_this_process() -> Iterator[list[str]]:
    """What this process connects to, and what names it looks up."""
    if not _heard:
        sys.addaudithook(_note)
    noted: list[str] = []
    _heard.append(noted)
    try:
        yield noted
    finally:
        _heard.remove(noted)
        _heard.append([])  # the hook is set already


def _note(event: str, values: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(values[1], tuple):
        for noted in _heard:
            noted.append(str(values[1][0]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        for noted in _heard:
            noted.append(str(values[0]))
