"""asyncssh as an operator: what a grant gives, and what nobody gives. Prints one line for each thing."""

import asyncio
import sys

import asyncssh

port, folder, key, user, there = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]


def connect(name, **more):
    return asyncssh.connect(
        "127.0.0.1", port, username=name, client_keys=[key], agent_path=None, config=None,
        known_hosts=f"{folder}/known_hosts", **more)


async def refused(what, work):
    try:
        await work
        print("GIVEN", what)
    except (asyncssh.Error, asyncssh.ChannelListenError, OSError) as error:
        print("refused", what, type(error).__name__)


async def main():
    # Names that stock `ssh` does not send.
    for name in [";id+web-1", "$(id)+web-1", "../x+web-1", "+web-1", "root+", "x" * 400 + "+web-1", "r\u00f6\u00f6t+web-1"]:
        await refused("login", connect(name))
    async with connect(f"{user}+web-1") as link:
        done = await link.run("cat; echo err >&2; exit 3", input="through asyncssh\n")
        print("run", repr(done.stdout), repr(done.stderr), done.exit_status)
        done = await link.run("tty", term_type="xterm", check=True)
        print("tty", done.stdout.startswith("/dev/pts/"))
        async with link.start_sftp_client() as sftp:
            async with sftp.open(there, "rb") as file:
                print("sftp", len(await file.read()))
            await refused("sftp", sftp.open("/etc/shadow", "rb"))
            await refused("symlink", sftp.symlink("/etc/shadow", there + ".link"))
        await refused("direct-tcpip", link.open_connection("127.0.0.1", 22))
        await refused("streamlocal", link.open_unix_connection("/run/x.sock"))
        await refused("tcpip-forward", link.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22))
        await refused("unix-forward", link.forward_remote_path("/tmp/x.sock", "/tmp/y.sock"))
        process = await link.create_process("echo A=$SSH_AUTH_SOCK", env={"LD_PRELOAD": "/x.so", "LC_ALL": "C"})
        print("env", repr((await process.wait()).stdout))


asyncio.run(main())
