"""Starts the emulator of AWS on 127.0.0.1:$GATEWAY_PORT, and stays.

--while-stdin-open  ends when standard input is closed, that is, when whoever started it is gone.
--count             counts what would be paid for on AWS; GET /_atelier/counts tells. No DynamoDB units with AUTH=true.
POST /_atelier/refuse makes EC2 refuse a pool's launches.

AUTH=true makes it check signatures and policies; deploy with --iam then. Every variable of its environment reaches the
functions too (RUST_LOG, for one). In TMPDIR it leaves the functions' unpacked code.
"""

import argparse
import collections
import functools
import json
import os
import re
import signal
import socketserver
import sys
import threading
import time

# Without this each call to a function waits some 40 ms for a delayed acknowledgement.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

PORT = os.environ.setdefault("GATEWAY_PORT", "4566")
for name, value in {
    "BIND_HOST": "127.0.0.1",  # its default is every interface
    "MINISTACK_HOST": "127.0.0.1",  # the host in queue addresses
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",  # for the functions
    "AWS_LAMBDA_LOG_FORMAT": "JSON",  # for the functions, as the template says and the emulator forgets
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
}.items():
    os.environ.setdefault(name, value)
# The developer's own AWS account is none of the functions' business.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(name, None)

import ministack.app  # noqa: E402 (it reads the environment)
import ministack.core.lambda_runtime  # noqa: E402
import ministack.services.dynamodb as dynamodb  # noqa: E402
import ministack.services.lambda_svc as lambda_svc  # noqa: E402

import conditions  # noqa: E402
import lists  # noqa: E402

# It checks the words of a condition anew for each item that it looks at, which was a fifth of all its time; they are few.
dynamodb._condition_syntax_error = functools.lru_cache(maxsize=1024)(dynamodb._condition_syntax_error)
tokenize = functools.lru_cache(maxsize=1024)(dynamodb._tokenize)
dynamodb._tokenize = lambda words: list(tokenize(words))

# Lambda's own lines are JSON too, as the template says; the emulator's are text. `ops doctor` looks for this one.
log_call = lambda_svc._emit_lambda_logs


def log_report(function, call, lines, failed, *args, **kwargs):
    record = {"requestId": call, "status": "error" if failed else "success"}
    report = json.dumps({"type": "platform.report", "record": record})
    log_call(function, call, "\n".join(filter(None, [lines, report])), failed, *args, **kwargs)


lambda_svc._emit_lambda_logs = log_report

SIGNED_BY = re.compile(r"Credential=(?P<key>[^/]+)/[^/]+/[^/]+/(?P<service>[^/]+)/")
FUNCTIONS_KEY = os.environ.get("MINISTACK_ACCOUNT_ID", "000000000000")  # access key that the emulator gives to functions


class Counter:
    """Counts invocations, AWS calls by functions (or signed by them), DynamoDB units, and messages of both APIs.

    It stands in front of the emulator and sees what passes, so it needs to know AWS, not the emulator; only
    invocations, which do not all pass here, are counted inside.
    """

    def __init__(self, app):
        self.app = app
        self.lock = threading.Lock()
        self.functions = collections.defaultdict(lambda: {"invocations": 0, "cold_starts": 0, "ms": 0.0})
        self.calls = collections.Counter()
        self.units = collections.defaultdict(collections.Counter)
        self.api = collections.Counter()
        self.watch_functions()

    def watch_functions(self):
        worker = ministack.core.lambda_runtime.ProvidedWorker
        invoke = worker.invoke

        def counted(this, *args, **kwargs):
            started = time.monotonic()
            result = invoke(this, *args, **kwargs)
            with self.lock:
                entry = self.functions[this.func_name]
                entry["invocations"] += 1
                entry["cold_starts"] += bool(result.get("cold_start"))
                entry["ms"] += (time.monotonic() - started) * 1000
            return result

        worker.invoke = counted

    async def __call__(self, scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            await self.app(scope, self.count_messages(receive), send)
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        elif path == "/_atelier/counts":
            await self.tell(send)
        elif path.startswith("/_aws/execute-api/"):
            self.api["websocket_messages_out" if "/@connections/" in path else "http_requests"] += 1
            await self.app(scope, receive, send)
        else:
            await self.count_call(scope, receive, send)

    def count_messages(self, receive):
        async def counted():
            message = await receive()
            if message["type"] in ("websocket.connect", "websocket.receive"):
                self.api[f"websocket_{'connects' if message['type'].endswith('connect') else 'messages_in'}"] += 1
            return message

        return counted

    async def count_call(self, scope, receive, send):
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        signed = SIGNED_BY.search(headers.get("authorization", "") + query.replace("%2F", "/"))
        if signed is None or not by_function(signed["key"], signed["service"]):
            await self.app(scope, receive, send)
            return
        service = signed["service"]
        target = headers.get("x-amz-target", "").rpartition(".")[2]
        if service != "dynamodb" or ministack.app.AUTH:  # a signed request must stay as it is
            body = await whole_body(receive)
            action = target or action_of(body) or scope["method"]
            self.calls[f"{service}.{action}"] += 1
            await self.app(scope, again(body, receive), send)
            return

        self.calls[f"dynamodb.{target}"] += 1
        request = json.loads(await whole_body(receive))
        request["ReturnConsumedCapacity"] = "INDEXES"
        body = json.dumps(request).encode()
        replaced = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
        replaced.append((b"content-length", str(len(body)).encode()))
        answer = bytearray()

        async def overheard(message):
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
            await send(message)

        await self.app({**scope, "headers": replaced}, again(body, receive), overheard)
        self.add_units(target, bytes(answer))

    def add_units(self, action, answer):
        kind = "read" if action in ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems") else "write"
        consumed = json.loads(answer or b"{}").get("ConsumedCapacity", [])
        for entry in consumed if isinstance(consumed, list) else [consumed]:
            self.units[entry["TableName"]][kind] += entry["CapacityUnits"]

    async def tell(self, send):
        with self.lock:
            body = json.dumps(
                {"functions": self.functions, "calls": self.calls, "units": self.units, "api": self.api}
            ).encode()
        await answer(send, 200, b"application/json", body)


class Refuser:
    """Refuses launches of a pool by a code of EC2's, from POST /_atelier/refuse {"pool": …, "code": …} until its code is null."""

    def __init__(self, app):
        self.app = app
        self.codes = {}

    async def __call__(self, scope, receive, send):
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/_atelier/refuse":
            wish = json.loads(await whole_body(receive))
            self.codes[wish["pool"]] = wish["code"]
            await answer(send, 200, b"application/json", b"{}")
        elif path == "/" and any(self.codes.values()):
            body = await whole_body(receive)
            code = self.code_of(body) if action_of(body) == "CreateFleet" else None
            if code is None:
                await self.app(scope, again(body, receive), send)
                return
            error = f"<Response><Errors><Error><Code>{code}</Code><Message>As wished.</Message></Error></Errors></Response>"
            await answer(send, 503, b"text/xml", error.encode())
        else:
            await self.app(scope, receive, send)

    def code_of(self, body):
        text = body.decode("latin-1") + "&"
        return next((code for pool, code in self.codes.items() if code and f"={pool}&" in text), None)


async def answer(send, status, kind, body):
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})


def by_function(key, service):
    """Whether a function signed. With AUTH=true each has a session of its own, and so has a worker, which signs for STS
    only."""
    return key == FUNCTIONS_KEY or (ministack.app.AUTH and key.startswith("ASIA") and service != "sts")


def action_of(body):
    """The action of a form-encoded call, as EC2's are."""
    if body.startswith(b"Action="):
        return body[7:].partition(b"&")[0].decode()
    return ""


async def whole_body(receive):
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def again(body, receive):
    """Receives a body that has been read already, and then whatever comes."""
    given = False

    async def next_message():
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def end_with_stdin():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--while-stdin-open", action="store_true")
    parser.add_argument("--count", action="store_true")
    args = parser.parse_args()
    sys.argv = ["ministack"]
    if args.while_stdin_open:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    conditions.install()
    lists.install()
    if args.count:
        ministack.app.app = Counter(ministack.app.app)
    ministack.app.app = Refuser(ministack.app.app)
    ministack.app.main()


main()
