"""What takes alarms in tests: a mail server (aiosmtpd) and an HTTPS server. Prints its port, then one JSON object for
each mail or request that it took. A line on its input sets how it behaves: ok, frozen, refuse."""

import asyncio
import base64
import datetime
import ipaddress
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MODE = {"now": "ok"}


def certificate(folder):
    """A certificate of 127.0.0.1 that is its own authority: `sink.pem`, with its key in `sink.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    with open(f"{folder}/sink.pem", "wb") as file:
        file.write(made.public_bytes(pem))
    with open(f"{folder}/sink.key", "wb") as file:
        private = serialization.PrivateFormat.PKCS8
        file.write(key.private_bytes(pem, private, serialization.NoEncryption()))


def tls(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{folder}/sink.pem", f"{folder}/sink.key")
    return context


def took(what):
    print(json.dumps(what), flush=True)


class Mails:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if MODE["now"] == "refuse":
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if MODE["now"] == "frozen":
            await asyncio.sleep(3600)
        took({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "user": (session.auth_data or b"").decode(),
            "mail": envelope.content.decode(),
        })
        return "250 taken"


def password(server, session, envelope, mechanism, data):
    good = data.login == b"writ" and data.password == b"a password"
    return AuthResult(success=good, auth_data=data.login)


async def web(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")
    fields = dict(line.lower().split(": ", 1)[0:1] + line.split(": ", 1)[1:] for line in lines[1:] if line)
    body = await reader.readexactly(int(fields["content-length"]))
    if MODE["now"] == "frozen":
        await asyncio.sleep(3600)
    took({
        "line": lines[0],
        "fields": fields,
        "body": base64.b64encode(body).decode(),
        "mode": MODE["now"],
    })
    status = "200 OK" if MODE["now"] == "ok" else "503 Unavailable"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    await writer.drain()
    writer.close()


async def main(kind, folder):
    loop = asyncio.get_running_loop()
    certificate(folder)
    if kind == "https":
        server = await asyncio.start_server(web, "127.0.0.1", 0, ssl=tls(folder))
    else:
        starttls = kind == "starttls"
        options = {"tls_context": tls(folder), "require_starttls": True} if starttls else {}
        if starttls:
            options |= {"authenticator": password, "auth_required": True}
        outer = tls(folder) if kind == "smtps" else None
        server = await loop.create_server(
            lambda: SMTP(Mails(), hostname="sink", enable_SMTPUTF8=False, **options),
            "127.0.0.1", 0, ssl=outer,
        )
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        MODE["now"] = line.decode().strip()
        took({"now": MODE["now"]})


asyncio.run(main(sys.argv[1], sys.argv[2]))
