"""Deploys template.yaml to the emulator, checks that everything in it really exists there, and prints its outputs.

    deploy.py --endpoint http://127.0.0.1:4566 --template template.yaml --stack atelier --region us-east-1 \
        --bootstraps DIR --parameter TokenPublicKey=... [--parameter KEY=VALUE ...]

DIR holds one executable for each function, DIR/<function>/bootstrap; it must stay where it is while the stack is up.
Standard output is one JSON object, the stack's outputs; progress and errors go to standard error.
"""

import argparse
import concurrent.futures
import io
import json
import os
import shlex
import sys
import time
import urllib.parse
import zipfile

import boto3
import botocore.config
import botocore.exceptions
from samtranslator.yaml_helper import yaml_parse

PATIENCE_S = 60


class DeployError(Exception):
    """One sentence for the developer."""


def main():
    args = arguments()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):  # a profile of the developer's that is not there would end us
        os.environ.pop(name, None)
    try:
        outputs = deploy(args)
    except DeployError as error:
        sys.exit(f"deploy: {error}")
    except botocore.exceptions.EndpointConnectionError:
        sys.exit(f"deploy: nothing answers at {args.endpoint}; is the emulator running?")
    except botocore.exceptions.BotoCoreError as error:
        sys.exit(f"deploy: the emulator could not be asked: {error}")
    except botocore.exceptions.ClientError as error:
        sys.exit(f"deploy: the emulator refused {error.operation_name}: {error.response['Error'].get('Message')}")
    json.dump(outputs, sys.stdout)
    print()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoint", required=True, help="address of the emulator")
    parser.add_argument("--template", default="template.yaml")
    parser.add_argument("--stack", default="atelier")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--bootstraps", required=True, help="folder of <function>/bootstrap")
    parser.add_argument("--iam", action="store_true", help="the emulator checks permissions (AUTH=true)")
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def deploy(args):
    started = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - started:5.1f} s  {text}", file=sys.stderr, flush=True)

    template = read_template(args.template)
    parameters = choose_parameters(template, args)
    clients = Clients(args.endpoint, args.region)
    put_code(template, args.bootstraps, clients("s3"))
    url = put_template(template, clients("s3"))
    say("code is in place")
    resources, outputs = create_stack(url, args.stack, parameters, clients("cloudformation"))
    say(f"{len(resources)} resources are created")
    if args.iam:
        allow_launch(template, resources, clients("iam"))
    check(template, resources, parameters, clients)
    say("routes, triggers, rules and expiry are there")
    return outputs


class Clients:
    """Makes clients of the emulator."""

    def __init__(self, endpoint, region):
        self.session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
        self.endpoint = endpoint
        self.config = botocore.config.Config(
            connect_timeout=5,
            read_timeout=PATIENCE_S,
            proxies={},
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        )

    def __call__(self, service):
        return self.session.client(service, endpoint_url=self.endpoint, config=self.config)


def read_template(path):
    try:
        with open(path, encoding="utf-8") as file:
            return yaml_parse(file)
    except OSError as error:
        raise DeployError(f"the template cannot be read: {error}") from error


def choose_parameters(template, args):
    """What was asked for, over what is true of every local stack."""
    chosen = {
        "EventSource": "local.ec2",
        "ImageId": "ami-00000000000000000",
        "LocalEndpoint": urllib.parse.urlsplit(args.endpoint).netloc,
    }
    for pair in args.parameter:
        key, equals, value = pair.partition("=")
        if not equals:
            raise DeployError(f"--parameter {pair} is not KEY=VALUE")
        chosen[key] = value
    known = template["Parameters"]
    unknown = sorted(chosen.keys() - known.keys())
    if unknown:
        raise DeployError(f"the template has no parameter {', '.join(unknown)}")
    missing = sorted(key for key, spec in known.items() if "Default" not in spec and key not in chosen)
    if missing:
        raise DeployError(f"give --parameter {', '.join(f'{key}=...' for key in missing)}")
    return {key: spec["Default"] for key, spec in known.items() if "Default" in spec} | chosen


def of_type(template, *types):
    return {name: it["Properties"] for name, it in template["Resources"].items() if it["Type"] in types}


def functions(template):
    """Logical name and package of each function."""
    found = of_type(template, "AWS::Serverless::Function")
    return {name: os.path.basename(it["CodeUri"]) for name, it in found.items() if isinstance(it["CodeUri"], str)}


def put_code(template, folder, s3):
    """Points each function at its executable.

    What is uploaded is a script that becomes the executable: the emulator runs functions as processes of this machine,
    so packing, storing and unpacking hundreds of megabytes can be left out.
    """
    packages = functions(template)
    paths = {package: os.path.join(os.path.abspath(folder), package, "bootstrap") for package in packages.values()}
    missing = [path for path in paths.values() if not os.access(path, os.X_OK)]
    if missing:
        raise DeployError(f"there is no executable {missing[0]}")
    bucket = code_bucket(s3)
    region = s3.meta.region_name
    elsewhere = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **elsewhere)
    for name, package in packages.items():
        key = f"{package}.zip"
        s3.put_object(Bucket=bucket, Key=key, Body=zip_of(f"#!/bin/sh\nexec {shlex.quote(paths[package])}\n"))
        template["Resources"][name]["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": key}


def code_bucket(s3):
    return f"atelier-code-{s3.meta.region_name}"


def put_template(template, s3):
    """Puts the template where CloudFormation can read it, as `sam` does: in the call itself it may have 51,200 bytes."""
    bucket, key = code_bucket(s3), "template.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(template))
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def zip_of(script):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, script)
    return buffer.getvalue()


def create_stack(template_url, stack, parameters, cloudformation):
    """Creates the stack; returns the physical name of each resource, and the outputs."""
    cloudformation.create_stack(
        StackName=stack,
        TemplateURL=template_url,
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        if time.monotonic() > deadline:
            raise DeployError(f"the stack was not created within {PATIENCE_S} s")
        time.sleep(0.05)
    if found["StackStatus"] != "CREATE_COMPLETE":
        raise DeployError(f"the stack was not created: {first_failure(cloudformation, stack, found)}")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    listed = [it for page in pages for it in page["StackResourceSummaries"]]
    return (
        {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in listed},
        {it["OutputKey"]: it["OutputValue"] for it in found.get("Outputs", [])},
    )


def first_failure(cloudformation, stack, found):
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [it for it in events if it["ResourceStatus"].endswith("FAILED") and it.get("ResourceStatusReason")]
    if failed:
        return f"{failed[-1]['LogicalResourceId']}: {failed[-1]['ResourceStatusReason']}"
    return found.get("StackStatusReason", found["StackStatus"])


def allow_launch(template, resources, iam):
    """Lets the functions that may launch do so: of a launch the emulator asks for one right, to all resources, where EC2
    asks for several, each to one kind."""
    allow = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:CreateFleet", "Resource": "*"}],
    }
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        if {"Ref": "LaunchPolicy"} in function["Policies"]:
            iam.put_role_policy(
                RoleName=resources[f"{name}Role"], PolicyName="launch-in-the-emulator", PolicyDocument=json.dumps(allow)
            )


def check(template, resources, parameters, clients):
    """Compares the emulator with the template: it leaves out, without a word, what it does not know."""
    checks = [check_apis, check_queues, check_rules, check_expiry]
    with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
        found = pool.map(lambda it: list(it(template, resources, parameters, clients)), checks)
        problems = [problem for some in found for problem in some]
    wanted = [name for name, it in template["Resources"].items() if "Condition" not in it]
    missing = [f"resource {name}" for name in wanted if name not in resources]
    if missing or problems:
        raise DeployError(f"the emulator accepted the template but lacks {'; '.join(missing + problems)}")


def ref(value):
    """The logical name that a value refers to."""
    if "Ref" in value:
        return value["Ref"]
    target = value["Fn::GetAtt"]
    return target[0] if isinstance(target, list) else target.partition(".")[0]


def check_apis(template, resources, _parameters, clients):
    client = clients("apigatewayv2")
    for name in of_type(template, "AWS::ApiGatewayV2::Api"):
        api = resources.get(name, "")
        routes = {it["RouteKey"]: it for it in client.get_routes(ApiId=api, MaxResults="500")["Items"]}
        integrations = {it["IntegrationId"]: it for it in client.get_integrations(ApiId=api, MaxResults="500")["Items"]}
        authorizers = {it["AuthorizerId"] for it in client.get_authorizers(ApiId=api, MaxResults="500")["Items"]}
        stages = {it["StageName"] for it in client.get_stages(ApiId=api, MaxResults="500")["Items"]}
        for wanted in of_type(template, "AWS::ApiGatewayV2::Route").values():
            if ref(wanted["ApiId"]) != name:
                continue
            key = wanted["RouteKey"]
            route = routes.get(key)
            if route is None:
                yield f"route {key}"
                continue
            if integrations.get(route.get("Target", "").removeprefix("integrations/"), {}).get("IntegrationUri") is None:
                yield f"the integration of route {key}"
            if "AuthorizerId" in wanted and not (
                route.get("AuthorizationType") == "CUSTOM"
                and route.get("AuthorizerId") == resources.get(ref(wanted["AuthorizerId"]))
                and route["AuthorizerId"] in authorizers
            ):
                yield f"the authorizer of route {key}"
        for wanted in of_type(template, "AWS::ApiGatewayV2::Stage").values():
            if ref(wanted["ApiId"]) == name and wanted["StageName"] not in stages:
                yield f"stage {wanted['StageName']} of {name}"


def check_queues(template, resources, _parameters, clients):
    client = clients("lambda")
    for name, wanted in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        function = resources.get(ref(wanted["FunctionName"]), "")
        # A queue or a table.
        queue = resources.get(ref(wanted["EventSourceArn"]), "").rpartition("/")[2]
        found = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        good = [
            it
            for it in found
            if (it["EventSourceArn"].endswith(f":{queue}") or f":table/{queue}/stream/" in it["EventSourceArn"])
            and it["State"] == "Enabled"
            and it.get("FunctionResponseTypes", []) == wanted.get("FunctionResponseTypes", [])
        ]
        if not good:
            yield f"event source mapping {name}"


def check_rules(template, resources, parameters, clients):
    client = clients("events")
    rules = [
        (it.get("ScheduleExpression"), json.loads(it.get("EventPattern") or "{}"), targets_of(client, it["Name"]))
        for it in client.list_rules()["Rules"]
        if it["State"] == "ENABLED"
    ]
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        for event, wanted in function.get("Events", {}).items():
            wanted = wanted["Properties"]
            pattern = resolved(wanted.get("Pattern", {}), {**resources, **parameters})
            arn_end = f":function:{resources.get(name)}"
            if not any(
                (schedule or None) == wanted.get("Schedule")
                and found == pattern
                and any(target.endswith(arn_end) for target in targets)
                for schedule, found, targets in rules
            ):
                yield f"rule {name}.{event}"


def resolved(value, names):
    """A value of the template with each `Ref` replaced by what it names."""
    if isinstance(value, list):
        return [resolved(it, names) for it in value]
    if isinstance(value, dict):
        return names[value["Ref"]] if "Ref" in value else {key: resolved(it, names) for key, it in value.items()}
    return value


def targets_of(client, rule):
    return [it["Arn"] for it in client.list_targets_by_rule(Rule=rule)["Targets"]]


def check_expiry(template, resources, _parameters, clients):
    """The emulator reads no expiry from a template, so it is set here as well."""
    client = clients("dynamodb")
    for name, wanted in of_type(template, "AWS::DynamoDB::Table").items():
        expiry = wanted.get("TimeToLiveSpecification")
        if expiry is None:
            continue
        table = resources.get(name, "")
        if not expires(client, table, expiry):
            client.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
        if not expires(client, table, expiry):
            yield f"expiry of table {name}"


def expires(client, table, expiry):
    found = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    return found["TimeToLiveStatus"] == "ENABLED" and found.get("AttributeName") == expiry["AttributeName"]


if __name__ == "__main__":
    main()
