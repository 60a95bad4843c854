"""An asyncssh server that lets anybody in and echoes: FOLDER. Prints its port."""

import asyncio
import sys

import asyncssh


class Door(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        return True


async def echo(process):
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()
    process.exit(0)


async def main():
    server = await asyncssh.create_server(
        Door,
        "127.0.0.1",
        0,
        server_host_keys=[f"{sys.argv[1]}/host_key"],
        process_factory=echo,
        encoding=None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()


asyncio.run(main())
