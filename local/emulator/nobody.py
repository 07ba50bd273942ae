"""A function that does nothing, for tests of what lies below the functions: it lets everybody in and says on which
connection it was called, if on one."""

import json
import os
import urllib.request

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def answer(event):
    if "methodArn" in event:
        allow = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
        return {"principalId": "nobody", "policyDocument": {"Version": "2012-10-17", "Statement": [allow]}}
    return {"statusCode": 200, "body": event.get("requestContext", {}).get("connectionId", "")}


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as request:
        call, event = request.headers["Lambda-Runtime-Aws-Request-Id"], json.load(request)
    print(json.dumps({"message": "nobody is home"}), flush=True)  # the emulator waits for a line
    urllib.request.urlopen(f"{RUNTIME}/{call}/response", json.dumps(answer(event)).encode()).close()
