"""Teaches the emulator what our conditions ask of lists: it knows neither `Fn::Split` nor `Fn::Join` in one."""

import ministack.services.cloudformation.changesets as changesets
import ministack.services.cloudformation.engine as engine
import ministack.services.cloudformation.handlers as handlers
import ministack.services.cloudformation.stacks as stacks


def text(value, parameters):
    """What a text is; a list that is a parameter is one text here, with commas."""
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return parameters[value["Ref"]]["Value"]
    between, parts = value["Fn::Join"]
    return between.join(text(it, parameters) for it in parts) if isinstance(parts, list) else text(parts, parameters)


def plain(value, parameters):
    """The same condition, where each element of a text that is split stands as it is."""
    if isinstance(value, list):
        return [plain(it, parameters) for it in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Select" in value and "Fn::Split" in value["Fn::Select"][1]:
        number, of = value["Fn::Select"]
        between, whole = of["Fn::Split"]
        return text(whole, parameters).split(between)[int(number)]
    return {name: plain(it, parameters) for name, it in value.items()}


def install():
    evaluate = engine._evaluate_conditions

    def evaluated(template, parameters):
        return evaluate(template | {"Conditions": plain(template.get("Conditions", {}), parameters)}, parameters)

    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = evaluated
