"""Changes to the records of a checkpoint of mace-torch; each is a function of the model."""

import copy

import numpy as np


def at(record, path):
    """Return the module at a path such as 'interactions.1.linear'."""
    for name in path.split("."):
        record = record.modules[name]
    return record


def moved(group, key, change):
    """Return a function that replaces one entry of a group of a module; None removes it."""
    path, _, name = key.rpartition(".")

    def spoil(model):
        record = at(model, path) if path else model
        found = dict(getattr(record, group))
        value = change(found.get(name))
        if value is None:
            found.pop(name)
        else:
            found[name] = value
        setattr(record, group, found)

    return spoil


def attribute(key, value):
    """Return a function that gives an attribute another value."""
    return moved("attributes", key, lambda _: value)


def parameter(key, change):
    return moved("parameters", key, change)


def buffer(key, change):
    return moved("buffers", key, change)


def module(key, change):
    return moved("modules", key, change)


def of_kind(name):
    def change(record):
        other = copy.copy(record)
        other.class_name = name
        return other

    return change


def nothing(_):
    return None


def longer(array):
    return np.append(array, 1.0)
