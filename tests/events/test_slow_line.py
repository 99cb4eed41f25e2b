"""A line of 64 kbit/s: deliveries still succeed, because requests shrink to what the line carries in time."""

from __future__ import annotations

import asyncio
import random

import pytest

from filterd.events.outbox import Outbox
from filterd.events.shipper import Shipper, ShipperSettings

NOW = 1_760_000_000
ACCEPTED = "right"
BYTES_A_SECOND = 8_000  # 64 kbit/s
TIMEOUT = 2.0
BATCHES, EVENTS = 40, 12


class SlowLine:
    """A TCP proxy that lets 8,000 bytes a second through to the endpoint, over all connections."""

    def __init__(self, port: int) -> None:
        self.carried = 0
        self._target = port
        self._line = asyncio.Lock()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        tasks = [
            asyncio.create_task(self._up(reader, back)),
            asyncio.create_task(self._down(there, writer)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, back):
            end.close()

    async def _up(self, reader, writer):
        while data := await reader.read(400):
            async with self._line:
                await asyncio.sleep(len(data) / BYTES_A_SECOND)
            self.carried += len(data)
            writer.write(data)
            await writer.drain()

    async def _down(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
def folder(tmp_path, event):
    """An outbox whose content does not fit through the line within one request's time."""
    outbox, dice = Outbox(tmp_path / "dns.outbox"), random.Random(5)
    for batch in range(BATCHES):
        names = [f"{dice.randbytes(24).hex()}.{batch}-{one}.kz" for one in range(EVENTS)]
        outbox.commit([event(name, rule=name) for name in names], {}, now=NOW)
    outbox.close()
    return tmp_path


async def test_deliveries_succeed_over_64_kbit_a_second(folder, endpoint, aeventually):
    async with SlowLine(int(endpoint.url.rpartition(":")[2])) as line:
        settings = ShipperSettings(
            endpoint=line.url, token=ACCEPTED, box="box-1", school="school-1", outboxes=folder,
            timeout=TIMEOUT, poll=0.01, backoff_base=0.01, backoff_cap=0.05,
        )  # fmt: skip
        shipper = Shipper(settings)
        running = asyncio.create_task(shipper.run())
        try:
            await aeventually(lambda: shipper.stats.batches == BATCHES)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    stored = endpoint.store.events()
    assert len(stored) == len({name for name, _ in stored}) == BATCHES * EVENTS
    assert shipper.stats.failures >= 1  # the first request was too big: else nothing was shown
    assert line.carried > BYTES_A_SECOND * TIMEOUT
