"""Odd channels and requests against our server: PORT FOLDER."""

import asyncio
import random
import sys

import asyncssh
from asyncssh.packet import Boolean, String, UInt32


async def refused(work):
    try:
        await asyncio.wait_for(work, 10)
    except asyncssh.ChannelOpenError:
        return
    raise AssertionError("it was opened")


async def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    options = dict(
        known_hosts=f"{folder}/known_hosts",
        client_keys=[f"{folder}/id_ed25519"],
        username="svc+web-1",
        config=None,
        agent_path=None,
    )
    async with asyncssh.connect("127.0.0.1", port, **options) as conn:
        await refused(conn.open_connection("127.0.0.1", 22))
        await refused(conn.open_unix_connection("/tmp/x"))
        for kind in (b"x-odd", b"forwarded-tcpip", b"auth-agent@openssh.com", b"x11"):
            chan = conn.create_tcp_channel(None)
            await refused(chan._open(kind, String(b"x")))
        # Global requests, with and without a wish for an answer.
        for name in (b"x-odd", b"tcpip-forward", b"streamlocal-forward@openssh.com"):
            kind, _ = await conn._make_global_request(name, String(b""), UInt32(0))
            assert kind == 82, kind
        conn.send_packet(80, String(b"x-odd"), Boolean(False))
        # Requests of a session that nobody knows, and data on either side of them.
        process = await conn.create_process("echo", encoding=None)
        rng = random.Random(1)
        for _ in range(20):
            process.stdin.write(bytes([rng.randrange(256)]) * rng.randrange(1, 5000))
            assert not await process.channel._make_request(b"x-odd", String(b"y")), "granted"
        process.stdin.write_eof()
        await process.wait()
        # More channels than there may be.
        held = []
        try:
            for _ in range(12):
                held.append(await conn.create_process("never"))
            raise AssertionError("too many channels were opened")
        except asyncssh.ChannelOpenError:
            assert len(held) == 10, len(held)
        print("all refused")
        conn.abort()


asyncio.run(main())
