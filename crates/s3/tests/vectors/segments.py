#!/usr/bin/env python3
"""Known answers for the segment format, made without a line of the Rust code.

Needs the package `cryptography`. Prints `name value` lines; `segments.txt` is its output.
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def head(major, n):
    major <<= 5
    if n < 24:
        return bytes([major | n])
    for extra, size in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if n < 1 << (8 * struct.calcsize(size)):
            return bytes([major | extra]) + struct.pack(size, n)


def cbor(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(cbor(x) for x in v)
    return head(5, len(v)) + b"".join(cbor(k) + cbor(v[k]) for k in sorted(v))


def hkdf(dk, salt, info, n):
    return HKDF(algorithm=hashes.SHA256(), length=n, salt=salt, info=info).derive(dk)


DK = bytes(range(32))
FRAME = 4096


def header():
    return cbor({
        1: 1, 2: "us-east-1", 3: b"\x11" * 16, 4: "arn:aws:s3:::vectors", 5: "a/b \u00e9",
        6: b"\x22" * 16, 7: None, 8: 0,
        9: "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000",
        10: b"wrapped", 11: [["team", "red"]], 12: 12, 13: b"\x33" * 32,
    })


def segment(plain):
    h = header()
    digest = hashlib.sha256(h).digest()
    okm = hkdf(DK, b"\x33" * 32, b"writ-s3-seg-v1\0" + digest, 39)
    aead, prefix = AESGCM(okm[:32]), okm[32:]
    out = b"WRITSEG1" + struct.pack(">I", len(h)) + h
    frames = [plain[i:i + FRAME] for i in range(0, len(plain), FRAME)] or [b""]
    for i, frame in enumerate(frames):
        last = bytes([i == len(frames) - 1])
        out += aead.encrypt(prefix + struct.pack(">I", i) + last, frame, digest)
    return out


def manifest(length):
    h = header()
    meta = cbor({1: [["content-type", "text/plain"]], 2: [["who", "me"]]})
    sums = cbor({1: "CRC32", 2: True, 3: "AAAAAA==", 4: []})
    okm = hkdf(DK, b"\x44" * 32, b"writ-s3-sum-v1", 44)
    sealed = b"\x44" * 32 + AESGCM(okm[:32]).encrypt(okm[32:], sums, b"subject")
    body = cbor({
        1: 1,
        2: {2: "us-east-1", 3: b"\x11" * 16, 4: "arn:aws:s3:::vectors", 5: "a/b \u00e9", 6: b"\x22" * 16},
        3: [[b"\x22" * 16, 0, length, hashlib.sha256(h).digest()]],
        4: length, 5: "0123456789abcdef0123456789abcdef", 6: [1],
        7: hashlib.sha256(meta).digest(), 8: sealed,
    })
    tag = hmac.new(hkdf(DK, b"", b"writ-s3-man-v1", 32), body, hashlib.sha256).digest()
    return cbor({1: body, 2: tag, 3: meta}), sealed


print("header", header().hex())
for n in (0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME):
    sealed = segment(bytes(i * 7 % 251 for i in range(n)))
    print(f"segment-{n}", hashlib.sha256(sealed).hexdigest())
print("segment-5-whole", segment(b"hello").hex())
whole, sums = manifest(5)
print("sums", sums.hex())
print("manifest", whole.hex())
