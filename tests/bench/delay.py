"""delay.py PORT MILLISECONDS: passes connections on to 127.0.0.1:PORT as if it were that round trip away; prints its own port.

A connection costs one round trip before its first byte, and every byte arrives half a round trip late, each way. How many are on
the way is bounded, not how many pass in a second.
"""

import asyncio
import sys

port, delay = int(sys.argv[1]), float(sys.argv[2]) / 1000


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    now = asyncio.get_running_loop().time
    on_the_way: asyncio.Queue = asyncio.Queue(maxsize=1024)

    async def deliver() -> None:
        while (chunk := await on_the_way.get())[1]:
            await asyncio.sleep(chunk[0] - now())
            writer.write(chunk[1])
            await writer.drain()
        await asyncio.sleep(chunk[0] - now())
        writer.write_eof()

    delivery = asyncio.create_task(deliver())
    try:
        data = b"-"
        while data and not delivery.done():
            data = await reader.read(1 << 16)
            await on_the_way.put((now() + delay / 2, data))
        await delivery
    except OSError:
        delivery.cancel()
        writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(delay)
    onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
    onward_writer.close()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
