"""Stands for SAM and Packer: what they would ask of AWS is asked of the emulator, and each call is recorded.

BROKEN in the folder of the records says where the next call breaks off: `sam` before anything, `halfway` after the code of
some functions was stored, so that the stack cannot be created, or `packer`. It breaks off once.
"""

import argparse
import json
import os
import sys
import time
import urllib.parse

RECORDS = os.environ["RECORDS"]


def main():
    name = os.path.basename(sys.argv[0])
    with open(os.path.join(RECORDS, "calls"), "a", encoding="utf-8") as calls:
        calls.write(json.dumps([name, *sys.argv[1:]]) + "\n")
    if sys.argv[1] == "init":
        return
    if breaks(name):
        sys.exit(1)
    global deploy, CLIENTS
    sys.path.insert(0, os.environ["EMULATOR_TOOLS"])
    import deploy  # slow, so not before it is needed

    CLIENTS = deploy.Clients(os.environ["EMULATOR"], os.environ["AWS_REGION"])
    {"sam": sam, "packer": packer}[name]()


def breaks(where):
    path = os.path.join(RECORDS, "BROKEN")
    if not os.path.exists(path) or open(path, encoding="utf-8").read() != where:
        return False
    os.remove(path)
    print(f"{where}: broken on purpose", file=sys.stderr)
    return True


def sam():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["deploy"])
    for name in ("template-file", "stack-name", "region", "capabilities"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("resolve-s3", "no-execute-changeset", "no-confirm-changeset", "no-fail-on-empty-changeset"):
        parser.add_argument(f"--{name}", action="store_true", required=True)
    parser.add_argument("--parameter-overrides", nargs="*", default=[])
    args = parser.parse_args()
    template = deploy.read_template(args.template_file)
    put_code(template, os.path.dirname(args.template_file))
    if breaks("halfway"):
        template["Resources"]["DeadTasks"]["Properties"]["MessageRetentionPeriod"] = 1  # SQS wants a minute at least
        template["Resources"]["ClaimFunction"]["Properties"]["CodeUri"]["Key"] = "lost"
    change_set(template, args)


def put_code(template, folder):
    s3 = CLIENTS("s3")
    bucket = deploy.code_bucket(s3)
    s3.create_bucket(Bucket=bucket)
    for function in deploy.of_type(template, "AWS::Serverless::Function").values():
        uri = function["CodeUri"]
        if isinstance(uri, str):
            key = f"{time.time_ns()}-{os.path.basename(uri)}"
            with open(os.path.join(folder, uri), "rb") as code:
                s3.put_object(Bucket=bucket, Key=key, Body=code.read())
            function["CodeUri"] = {"Bucket": bucket, "Key": key}


def change_set(template, args):
    cloudformation = CLIENTS("cloudformation")
    stacks = cloudformation.describe_stacks()["Stacks"]
    before = [it for it in stacks if it["StackName"] == args.stack_name and it["StackStatus"] != "REVIEW_IN_PROGRESS"]
    values = dict(parse(it) for it in args.parameter_overrides)
    kept = {it["ParameterKey"] for stack in before for it in stack.get("Parameters", [])}
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    parameters += [
        {"ParameterKey": key, "UsePreviousValue": True}
        for key in template["Parameters"]
        if key in kept and key not in values
    ]
    name = f"samcli-deploy{time.time_ns()}"
    cloudformation.create_change_set(
        StackName=args.stack_name,
        ChangeSetName=name,
        ChangeSetType="UPDATE" if before else "CREATE",
        TemplateURL=deploy.put_template(template, CLIENTS("s3")),
        Parameters=parameters,
        Capabilities=[args.capabilities, "CAPABILITY_AUTO_EXPAND"],
    )
    while True:
        found = cloudformation.describe_change_set(StackName=args.stack_name, ChangeSetName=name)
        if not found["Status"].endswith(("PENDING", "IN_PROGRESS")):
            break
        time.sleep(0.05)
    if found["Status"] == "FAILED" and "no" not in found.get("StatusReason", "").lower():
        sys.exit(found["StatusReason"])


def parse(override):
    """ParameterKey=KEY,ParameterValue="VALUE" """
    key, _, value = override.removeprefix("ParameterKey=").partition(",ParameterValue=")
    return key, json.loads(value)


def packer():
    variables = dict(it.split("=", 1) for it in sys.argv if "=" in it)
    assert os.path.exists(variables["worker"]) and os.path.exists("atelier.pkr.hcl"), variables
    ec2 = CLIENTS("ec2")
    image = ec2.register_image(
        Name=f"atelier-{variables['version']}-{time.time_ns()}", Architecture="x86_64", RootDeviceName="/dev/sda1"
    )["ImageId"]
    tags = {"atelier:version": variables["version"], "atelier:worker": variables["worker_sha256"]}
    ec2.create_tags(Resources=[image], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


main()
