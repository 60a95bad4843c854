"""Prints requests signed by botocore as JSON; seeded, so that every run makes the same ones."""
import json
import random
import sys

try:
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    sys.exit(77)
from urllib.parse import quote, urlsplit

rng = random.Random(4)
ALPHABET = "abcXYZ019-._~ /+=:@!$&'()*,;%?#\u00e9\u20ac"


def text(size):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(size)))


def one():
    s3, query, token = (rng.random() < 0.5 for _ in range(3))
    credentials = Credentials("AKIDEXAMPLE", "secret", "tok/en+==" if token else None)
    service = "s3" if s3 else "sts"
    path = "/bucket/" + quote(text(12), safe="/~") if s3 else "/"
    data = text(40).encode() if not query else b""
    request = AWSRequest(
        method=rng.choice(["GET", "PUT", "POST"]),
        url="https://host.example:8443" + path,
        params={"p" + text(6): text(6) for _ in range(rng.randrange(3))},
        data=data,
        headers={"X-Amz-Meta-A": " a  b " + quote(text(5)), "User-Agent": "x"},
    )
    request.context["timestamp"] = None
    request.context["signing"] = {}
    if query:
        auth = S3SigV4QueryAuth if s3 else SigV4QueryAuth
        auth(credentials, service, "eu-west-1", expires=600).add_auth(request)
    else:
        (S3SigV4Auth if s3 else SigV4Auth)(credentials, service, "eu-west-1").add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = [[k, v.decode() if isinstance(v, bytes) else v] for k, v in prepared.headers.items()]
    if not any(name.lower() == "host" for name, _ in headers):
        headers.append(["host", url.netloc])
    return {
        "s3": s3,
        "token": token,
        "method": prepared.method,
        "path": url.path,
        "query": url.query,
        "headers": headers,
        "body": data.decode(),
    }


print(json.dumps([one() for _ in range(int(sys.argv[1]))]))
