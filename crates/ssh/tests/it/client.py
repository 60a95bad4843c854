"""asyncssh against our server: PORT FOLDER kex=... cipher=..."""

import asyncio
import sys

import asyncssh

DATA = bytes(i * 7 % 256 for i in range(3_000_000))


async def once(port, folder, kex, cipher):
    options = dict(
        known_hosts=f"{folder}/known_hosts",
        client_keys=[f"{folder}/id_ed25519"],
        username="svc+web-1",
        kex_algs=[kex],
        encryption_algs=[cipher],
        config=None,
        agent_path=None,
    )
    async with asyncssh.connect("127.0.0.1", port, **options) as conn:
        result = await conn.run("echo", input=DATA, encoding=None)
        assert result.stdout == DATA, "other bytes came back"
        assert result.exit_status == 0
        result = await conn.run("exit 3")
        assert result.exit_status == 3
        print("whole", kex, cipher)


async def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    pick = lambda kind: [a.split("=", 1)[1] for a in sys.argv[3:] if a.startswith(kind)]
    for kex in pick("kex"):
        for cipher in pick("cipher"):
            await once(port, folder, kex, cipher)


asyncio.run(main())
