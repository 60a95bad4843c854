"""asyncssh as an attacker who has logged in: what no grant gives, byte by byte. Prints one line for each thing."""

import asyncio
import sys

import asyncssh
from asyncssh.channel import SSHTCPChannel
from asyncssh.packet import Boolean, String, UInt32

port, folder, key, user = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def connect():
    return asyncssh.connect(
        "127.0.0.1", port, username=f"{user}+web-1", client_keys=[key], agent_path=None, config=None,
        known_hosts=f"{folder}/known_hosts")


async def unknown_channels(link):
    loop = asyncio.get_event_loop()
    address = String("127.0.0.1") + UInt32(22) + String("127.0.0.1") + UInt32(1)
    for kind, rest in [
            ("tun@openssh.com", UInt32(1) + UInt32(0x7fffffff)), ("x11", String("127.0.0.1") + UInt32(1)),
            ("auth-agent@openssh.com", b""), ("forwarded-tcpip", address), ("direct-tcpip", address),
            ("direct-streamlocal@openssh.com", String("/run/x.sock") + String("") + UInt32(0)),
            ("session2", b""), ("made-up@example.com", b"\xff" * 1000)]:
        channel = SSHTCPChannel(link, loop, None, "strict", 65536, 32768)
        try:
            await channel._open(kind.encode(), rest)
            print("GIVEN channel", repr(kind))
        except asyncssh.ChannelOpenError as error:
            print("refused channel", repr(kind), error.code)


async def unknown_requests(link):
    """Requests to a channel whose program runs, and to one whose program does not."""
    process = await link.create_process("cat", encoding=None)
    channel = process.channel
    for name, rest in [
            ("exec", String("id")), ("shell", b""), ("subsystem", String("sftp")), ("pty-req", b""),
            ("x11-req", Boolean(False) + String("MIT-MAGIC-COOKIE-1") + String("00") + UInt32(0)),
            ("auth-agent-req@openssh.com", b""), ("env", String("LD_PRELOAD") + String("/x.so")),
            ("made-up@example.com", b"\xff" * 300), ("break", UInt32(10))]:
        given = await channel._make_request(name.encode(), rest)
        print("GIVEN request" if given else "refused request", name)
    process.stdin.write(b"still here\n")
    print("echo", (await process.stdout.readline()).decode().strip())
    process.close()


async def packets(link, what, *parts):
    """Bytes that are no SFTP, in an SFTP channel."""
    process = await link.create_process(subsystem="sftp", encoding=None)
    for part in parts:
        process.stdin.write(part)
    try:
        said = await asyncio.wait_for(process.stdout.read(1 << 20), 10)
        print("ended packets", what, len(said))
    except asyncio.TimeoutError:
        print("GIVEN packets", what)
    process.close()


async def main():
    async with connect() as link:
        await unknown_channels(link)
        await unknown_requests(link)
        init = UInt32(5) + b"\x01" + UInt32(3)
        await packets(link, "of 4 GiB", init, b"\xff\xff\xff\xff\x03")
        await packets(link, "of 300 KiB", init, UInt32(300 * 1024) + b"\x06" + b"x" * 4096)
        await packets(link, "of nothing", init, UInt32(0) * 8)
        await packets(link, "of version 99 before version 3", UInt32(5) + b"\x63" + UInt32(3))
        await packets(link, "with a path of 100 KiB", init,
                      UInt32(1 + 4 + 4 + 100000) + b"\x11" + UInt32(1) + String(b"/" * 100000))
        done = await link.run("echo alive", check=True)
        print("after", done.stdout.strip())


asyncio.run(main())
