"""YAML text to plain values: no tag is ever executed, and a key that stands twice is noted.

Imported only while a file is read, so that ``inv --list`` does not pay for it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import yaml

from rollback_tasks.config.rules import Spot, shown

_PLAIN = ("map", "seq", "str", "int", "float", "bool", "null")


def _refuse(_: yaml.SafeLoader, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {shown(node.tag)} is not read here", node.start_mark)


class _PlainLoader(yaml.SafeLoader):
    """Builds mappings, lists, text, numbers, booleans and null; every other tag is an error.

    Dates stay text: nothing in hosts.yaml is a date.
    """

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if str(tag).removeprefix("tag:yaml.org,2002:") in _PLAIN
    } | {None: _refuse}
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value; one that its own tag cannot hold (``0x_``, ``!!bool maybe``) is an error with a line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError) as exc:
            tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
            raise yaml.constructor.ConstructorError(None, None, f"not a value of type {tag}", node.start_mark) from exc


class Unreadable(Exception):
    """The text is no YAML document; the message says why and where."""


def parse(text: bytes, *, spot: Spot) -> object:
    """Given the bytes of a file, return its values and note each key that stands twice.

    :raises Unreadable: syntax errors, tags, several documents, endless nesting.
    """
    loader = None
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _note_duplicates(node, spot)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise Unreadable(f"{line}{exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:
        raise Unreadable("holds bytes that are no UTF-8 text, or control characters") from exc
    except RecursionError as exc:
        raise Unreadable("is nested too deeply, or holds itself") from exc
    finally:
        if loader is not None:
            loader.dispose()


def _note_duplicates(root: yaml.Node, top: Spot) -> None:
    waiting: list[tuple[yaml.Node, Spot]] = [(root, top)]
    seen: set[int] = set()
    while waiting:
        node, spot = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(entry, spot.item(index)) for index, entry in enumerate(node.value)][::-1]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            below = []
            for key, entry in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                own = spot.key(key.value)
                line = key.start_mark.line + 1
                if key.value in lines:
                    own.wrong(f"stands twice, in lines {lines[key.value]} and {line}")
                lines.setdefault(key.value, line)
                below.append((entry, own))
            waiting += below[::-1]
