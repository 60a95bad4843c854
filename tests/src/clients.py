"""Runs the AWS CLI and boto3 for the tests: one request a line in, one answer a line out.

The CLI is the installed one, run through its own entry point in a forked process for each command,
so that its start-up (a second on a small machine) is paid once.

A request names service, operation and parameters as boto3 writes them; blobs are base64. For the CLI
they become the arguments that a person would type.
"""

import base64
import datetime
import io
import json
import os
import re
import sys
import tempfile
import traceback

import awscli.clidriver
import boto3
import botocore.config
import botocore.exceptions
import botocore.response
from botocore import xform_name

REPLIES = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
SESSIONS = {}
MODELS = {}
BINARY = {}


def model(service, operation):
    if service not in MODELS:
        session = boto3.Session(profile_name=os.environ["WRIT_TEST_PROFILE"])
        client = session.client(service, aws_access_key_id="x", aws_secret_access_key="y")
        MODELS[service] = client.meta.service_model
    return MODELS[service].operation_model(operation)


def client(request):
    presigns = "presign" in request
    key = json.dumps([request["service"], request["profile"], request.get("credentials"), presigns])
    if key not in SESSIONS:
        session = boto3.Session(profile_name=request["profile"])
        given = request.get("credentials") or {}
        # boto3 would presign with version 2 for us-east-1, which only the oldest regions of AWS take.
        config = botocore.config.Config(
            retries={"total_max_attempts": 1}, signature_version="s3v4" if presigns else None
        )
        SESSIONS[key] = session.client(
            request["service"],
            config=config,
            aws_access_key_id=given.get("id"),
            aws_secret_access_key=given.get("secret"),
            aws_session_token=given.get("token"),
        )
    return SESSIONS[key]


def decode(shape, value):
    """Parameters with their blobs as bytes."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {k: decode(members[k], v) if k in members else v for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [decode(shape.member, item) for item in value]
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def encode(value):
    """A reply as JSON."""
    if isinstance(value, dict):
        return {k: encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, botocore.response.StreamingBody):
        return base64.b64encode(value.read()).decode()
    return value


def boto(request):
    api = client(request)
    operation = request["operation"]
    shape = model(request["service"], operation).input_shape
    params = request.get("params") or {}
    if shape is not None:
        params = decode(shape, params)
    if request.get("paginate"):
        pages = api.get_paginator(xform_name(operation)).paginate(**params)
        return {"pages": [encode(page) for page in pages]}
    if request.get("presign"):
        url = api.generate_presigned_url(
            xform_name(operation), Params=params, ExpiresIn=request["presign"]
        )
        return {"url": url}
    return encode(getattr(api, xform_name(operation))(**params))


def arguments(request, folder):
    """What a person would type, and the file that the reply's body goes to."""
    service, operation = request["service"], request["operation"]
    shape = model(service, operation).input_shape
    command = {"s3": "s3api"}.get(service, service)
    line = [command, xform_name(operation, "-")]
    for name, value in (request.get("params") or {}).items():
        member = shape.members[name]
        option = "--" + xform_name(name, "-")
        if member.type_name == "boolean":
            line.append(option if value else "--no-" + option[2:])
        elif member.type_name == "blob":
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(base64.b64decode(value))
            streaming = member.serialization.get("streaming")
            line += [option, path if streaming else "fileb://" + path]
        elif isinstance(value, (dict, list)):
            line += [option, json.dumps(value)]
        else:
            line += [option, str(value)]
    output = model(service, operation).output_shape
    body = None
    if output is not None and "streaming" in str(
        [m.serialization for m in output.members.values()]
    ):
        body = os.path.join(folder, "output")
        line.append(body)
    return line, body


def command(request, folder):
    """Runs one command in a process of its own; gives exit code, output, errors."""
    if "argv" in request:
        line, body = request["argv"], None
    else:
        line, body = arguments(request, folder)
    out, err = os.path.join(folder, "out"), os.path.join(folder, "err")
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            given = request.get("credentials")
            os.environ["AWS_PROFILE"] = request["profile"]
            if given:
                os.environ["AWS_ACCESS_KEY_ID"] = given["id"]
                os.environ["AWS_SECRET_ACCESS_KEY"] = given["secret"]
                if given.get("token"):
                    os.environ["AWS_SESSION_TOKEN"] = given["token"]
            os.environ.update(request.get("env") or {})
            for path, number in ((out, 1), (err, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), "utf-8")
            sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), "utf-8")
            code = awscli.clidriver.create_clidriver().main(line)
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 255
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code or 0)
    _, status = os.waitpid(pid, 0)
    read = lambda path: open(path, "rb").read() if os.path.exists(path) else b""
    return os.waitstatus_to_exitcode(status), read(out), read(err), body


def cli(request):
    with tempfile.TemporaryDirectory() as folder:
        code, out, err, body = command(request, folder)
        if code != 0:
            text = err.decode(errors="replace").strip()
            found = re.search(r"An error occurred \((\S+)\) when calling the \w+ operation[^:]*: ?(.*)", text, re.S)
            error, message = found.groups() if found else ("", text)
            return {"error": {"code": error, "message": message, "status": 0, "exit": code}}
        if "argv" in request:
            return {"ok": {"stdout": out.decode(errors="replace")}}
        reply = json.loads(out) if out.strip() else {}
        if body is not None:
            reply["Body"] = base64.b64encode(open(body, "rb").read()).decode()
        return {"ok": reply}


def answer(request):
    try:
        if request["client"] == "cli":
            return cli(request)
        return {"ok": boto(request)}
    except botocore.exceptions.ClientError as error:
        found, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        return {
            "error": {
                "code": found.get("Code", ""),
                "message": found.get("Message", ""),
                "status": meta.get("HTTPStatusCode", 0),
                "request": meta.get("RequestId", ""),
            }
        }
    except Exception as error:
        return {"error": {"code": "", "message": f"{type(error).__name__}: {error}", "status": 0}}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=str), file=REPLIES, flush=True)
