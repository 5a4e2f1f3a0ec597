"""A configuration as text: a commented YAML file, and the table of options of the manual."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from fast_inerf_ros.config.declaration import Option, options, values_of
from fast_inerf_ros.config.params_file import SECTION_KEY
from fast_inerf_ros.config.yaml_text import yaml_value

LINE_WIDTH = 98


def dump(config: object, node_name: str = "/**") -> str:
    """Write a configuration as a commented ROS 2 parameter file that loads to an equal one."""
    lines = [f"{node_name}:", f"  {SECTION_KEY}:"]
    values = values_of(config)
    opened: list[str] = []
    for item in options(type(config)):
        *sections, name = item.name.split(".")
        shared = _shared(opened, sections)
        for depth in range(shared, len(sections)):
            lines.append(f"{'  ' * (depth + 2)}{sections[depth]}:")
        opened = sections
        indent = "  " * (len(sections) + 2)
        lines += _comment(item, indent)
        lines.append(f"{indent}{name}: {yaml_value(values[item.name])}")
    if not values:
        lines[-1] += " {}"
    return "\n".join(lines) + "\n"


def describe(config_class: type) -> str:
    """Write the table of options in Markdown."""
    rows = ["| Name | Type | Default | Unit | Range | Dynamic | Meaning |", "|" + "---|" * 7]
    rows += ["| " + " | ".join(_cells(item)) + " |" for item in options(config_class)]
    return "\n".join(rows) + "\n"


def _shared(first: list[str], second: list[str]) -> int:
    count = 0
    while count < min(len(first), len(second)) and first[count] == second[count]:
        count += 1
    return count


def _comment(item: Option, indent: str) -> Iterator[str]:
    start = f"{indent}# "
    text = f"{item.doc} ({item.rule.expected()}{'; dynamic' if item.dynamic else ''})"
    return iter(textwrap.wrap(text, LINE_WIDTH, initial_indent=start, subsequent_indent=start))


def _cells(item: Option) -> list[str]:
    rule = item.rule
    limits = rule.bounds()
    if rule.choices is not None:
        limits = ", ".join(f"`{choice}`" for choice in rule.choices)
    default = "required" if item.required else f"`{yaml_value(item.default)}`"
    cells = [
        f"`{item.name}`",
        rule.type_name(),
        default,
        rule.unit or "",
        limits,
        "yes" if item.dynamic else "no",
        item.doc,
    ]
    return [cell.replace("|", "\\|") for cell in cells]
