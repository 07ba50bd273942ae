"""Gives the emulator the condition keys that our policies name and that it does not know: the partition keys that a
call to a table names (dynamodb:LeadingKeys), and the tags of instances (aws:ResourceTag/...).
"""

import json
import re

import ministack.core.iam_actions as actions
import ministack.core.iam_evaluator as evaluator
import ministack.services.dynamodb as dynamodb
import ministack.services.ec2 as ec2
import ministack.services.tagging as tagging

LEADING_KEYS = "dynamodb:LeadingKeys"
PARTITION_IS = re.compile(r"\S+\s*=\s*(:\w+)")


class Checked(str):
    """The ARN of a table that one item of a transaction is about, with that item's partition key."""

    leading_keys = []


def leading_keys(request):
    """The partition keys that a call, or an item of a transaction, names: of a batch, those of all its tables."""
    if "RequestItems" in request:
        batch = request["RequestItems"].items()
        return [
            value
            for table, wanted in batch
            for key in wanted.get("Keys", [])
            for value in leading_keys({"TableName": table, "Key": key})
        ]
    table = dynamodb._tables.get(request.get("TableName"))
    item = request.get("Key") or request.get("Item")
    if table and item:
        return list(item.get(table["pk_name"], {}).values())
    partition = PARTITION_IS.match(request.get("KeyConditionExpression", ""))
    if partition:
        return list(request.get("ExpressionAttributeValues", {}).get(partition.group(1), {}).values())
    return []


def install():
    context, transaction, enforce = (
        actions.dynamodb_service_context,
        actions.dynamodb_transaction_checks,
        evaluator.enforce,
    )

    def with_leading_keys(body):
        return {**context(body), LEADING_KEYS: leading_keys(json.loads(body or b"{}"))}

    def transaction_with_leading_keys(action, body, region, account):
        checks = []
        for (item_action, arn), item in zip(transaction(action, body, region, account), items_of(body)):
            checked = Checked(arn)
            checked.leading_keys = leading_keys(item)
            checks.append((item_action, checked))
        return checks

    def enforced(*args, **kwargs):
        checked = kwargs.get("resource_arn")
        if isinstance(checked, Checked):
            kwargs["service_context"] = {**kwargs["service_context"], LEADING_KEYS: checked.leading_keys}
        return enforce(*args, **kwargs)

    actions.dynamodb_service_context = with_leading_keys
    actions.dynamodb_transaction_checks = transaction_with_leading_keys
    evaluator.enforce = enforced
    tagging._RESOURCE_TAG_COLLECTORS["ec2"] = tags_of_instances


def items_of(body):
    return [detail for item in json.loads(body).get("TransactItems", []) for detail in item.values()]


def tags_of_instances():
    from ministack.core.responses import get_account_id, get_region

    for instance in ec2._instances:
        yield f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance}", ec2._tags.get(instance, [])
