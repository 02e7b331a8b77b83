"""The fastest chat endpoint we can make, for measuring clients: it reads a request's length and answers with fixed bytes.

    python benchmarks/chat_server.py [PORT [LATENCY_S SLOTS]]      # prints the port, serves until it is stopped

Without a latency: no JSON, keep-alive and pipelining; what a client achieves against it is the client's own speed. With one:
at most so many answers are made together, each takes so long, and who comes beyond is turned away with 429 and Retry-After.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

VERDICT = {
    "reasoning": "The query asks for a red summer dress with a floral pattern; the product is a red knee-length dress with small "
    "printed flowers and short sleeves, so material, colour and occasion all fit what is asked for.",
    "verdict": "highly_relevant",
}
BODY = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "bench-2025-01-01",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": json.dumps(VERDICT)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 60, "total_tokens": 1060},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
TURNED_AWAY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}"


class Chat(asyncio.Protocol):
    """One connection: for every whole request one answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        data = self.pending + data if self.pending else data
        answers = 0
        while (end := data.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + _length(data[:end])
            if len(data) < whole:
                break
            data = data[whole:]
            answers += 1
        self.pending = data
        if answers:
            self.answer(answers)

    def answer(self, answers: int) -> None:
        self.transport.write(ANSWER * answers)


class Slow(Chat):
    """One connection to a server that takes its time and has so many slots."""

    latency_s, slots, taken = 0.0, 0, 0

    def answer(self, answers: int) -> None:
        for _ in range(answers):
            if Slow.taken >= Slow.slots:
                self.transport.write(TURNED_AWAY)
            else:
                Slow.taken += 1
                asyncio.get_running_loop().call_later(Slow.latency_s, self.finish)

    def finish(self) -> None:
        Slow.taken -= 1
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


def _length(head: bytes) -> int:
    """The Content-Length of a request, 0 without one."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at + 2)
    return int(lower[at + 17 : end if end >= 0 else None])


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Slow if Slow.slots else Chat, "127.0.0.1", port, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    try:
        import uvloop

        make = uvloop.new_event_loop
    except ImportError:
        make = asyncio.new_event_loop
    if len(sys.argv) > 3:
        Slow.latency_s, Slow.slots = float(sys.argv[2]), int(sys.argv[3])
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
