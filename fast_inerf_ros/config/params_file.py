"""The shape of parameter files: which section belongs to which node, and dotted names.

Accepted are the files of ROS 2 (`/**:`, `/node:`, `node:`, `/namespace/node:` or `/*/node:`,
nested namespaces too, each with `ros__parameters:` below) and a plain mapping of options.
"""

from __future__ import annotations

from collections.abc import Iterator

from fast_inerf_ros.config.yaml_text import Located

SECTION_KEY = "ros__parameters"
ROS_OWN_PARAMETERS = ("use_sim_time", "start_type_description_service")
ROS_OWN_PREFIXES = ("qos_overrides.",)


def belongs_to_ros(name: str) -> bool:
    """Whether every ROS 2 node has the parameter `name`, whatever its own options are."""
    return name in ROS_OWN_PARAMETERS or name.startswith(ROS_OWN_PREFIXES)


def values_for(
    document: Located, node_name: str | None, required: bool = True
) -> dict[str, Located]:
    """Collect the dotted names and values that a document holds for a node.

    node_name: name without namespace. A section is taken where its last part is this name, `*`
        or `**`; a command line has no namespace, so that namespaces are not compared. Later
        sections override earlier ones, as in ROS. With None, wildcard sections are taken, or
        the only section of the file.
    required: whether a document with sections, but none for the node, is an error.

    Raises InputError where the document is no mapping, lacks a required section, or names an
    option twice.
    """
    if not isinstance(document.content, dict):
        raise document.error("expected a mapping of options ('name: value')")
    sections = list(_sections(document, ""))
    if not sections:
        _refuse_node_names(document)
        return _flat(document)
    _require_sections_only(document)
    values: dict[str, Located] = {}
    for section in _chosen(sections, node_name, document, required):
        values.update(_flat(section))
        _require_one_type(section)
    return {name: value for name, value in values.items() if not belongs_to_ros(name)}


def _sections(mapping: Located, path: str) -> Iterator[tuple[str, Located]]:
    if not isinstance(mapping.content, dict):
        return
    for key, value in mapping.content.items():
        if key == SECTION_KEY:
            yield path, value
        else:
            yield from _sections(value, f"{path}/{key.strip('/')}")


def _require_sections_only(mapping: Located) -> None:
    """Refuse values beside sections, which nothing would read."""
    assert isinstance(mapping.content, dict)
    for key, value in mapping.content.items():
        if key == SECTION_KEY:
            continue
        if not isinstance(value.content, dict):
            raise value.error(f"{key} stands outside of {SECTION_KEY}: move it below that key")
        _require_sections_only(value)


def _chosen(
    sections: list[tuple[str, Located]], node_name: str | None, document: Located, required: bool
) -> list[Located]:
    accepted = {"*", "**"} if node_name is None else {"*", "**", node_name}
    chosen = [value for path, value in sections if path.rpartition("/")[2] in accepted]
    if not chosen and node_name is None and len(sections) == 1:
        chosen = [sections[0][1]]
    if not chosen and required:
        found = ", ".join(path or "/" for path, _ in sections)
        raise document.error(
            f"expected a section '/**' or '{node_name or '*'}' with {SECTION_KEY}, got {found}"
        )
    return chosen


def _refuse_node_names(document: Located) -> None:
    assert isinstance(document.content, dict)
    for key, value in document.content.items():
        if key.startswith("/"):
            raise value.error(f"expected '{SECTION_KEY}:' below '{key}:', with the options in it")


def _flat(section: Located) -> dict[str, Located]:
    if not isinstance(section.content, dict):
        raise section.error(f"expected a mapping of options below {SECTION_KEY}")
    values: dict[str, Located] = {}
    for name, value in _leaves(section, ""):
        if name in values:
            raise value.error(f"{name} is given twice (first on line {values[name].line})")
        values[name] = value
    return values


def _leaves(mapping: Located, prefix: str) -> Iterator[tuple[str, Located]]:
    assert isinstance(mapping.content, dict)
    for key, value in mapping.content.items():
        if isinstance(value.content, dict) and value.content:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _require_one_type(section: Located) -> None:
    """Refuse lists of integers and doubles, which the parser of ROS refuses too."""
    for name, value in _leaves(section, ""):
        if isinstance(value.content, list):
            kinds = {type(element.content) for element in value.content}
            if {int, float} <= kinds:
                raise value.error(f"{name}: ROS wants list elements of one type: write 1.0 for 1")
