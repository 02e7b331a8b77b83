"""Event loops for callers that have none, or already have one; and Ctrl-C on every system."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def run_alone(work: Coroutine[Any, Any, T], interrupt: Callable[[], None] | None = None) -> T:
    """Runs a coroutine to its end; in a thread of its own where this one already runs an event loop (a notebook).

    Ctrl-C in a notebook calls `interrupt` and waits on: the coroutine ends itself.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(_caught(work)))
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            if interrupt is None:
                raise
            interrupt()
    if isinstance(box[0], BaseException):
        raise box[0]
    result: T = box[0]
    return result


def _caught(work: Coroutine[Any, Any, T]) -> T | BaseException:
    try:
        return run_alone(work)
    except BaseException as error:  # handed over to the caller's thread, which raises it
        return error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def rare_collections() -> Iterator[None]:
    """Makes the cyclic garbage collector run rarely: a drive makes many objects and hardly any cycles (5 % faster)."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def on_interrupt(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `action` in the loop while inside. Only the main thread can have that (Windows has no add_signal_handler)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(action))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def settle(future: asyncio.Future[T], value: T) -> None:
    """Sets a result, unless whoever waited has gone."""
    if not future.done():
        future.set_result(value)


def spoil(future: asyncio.Future[Any], error: BaseException) -> None:
    """Sets an exception, unless whoever waited has gone; that nobody waits is no fault to be warned of."""
    if not future.done():
        future.set_exception(error)
        future.exception()
