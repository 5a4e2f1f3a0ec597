"""What the documentation says: its pages, code blocks, command lines and links."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


class Command(NamedTuple):
    """A command line of a page: environment variables before it, and its words."""

    page: str
    variables: dict[str, str]
    words: list[str]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    found = FENCED.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def commands(page: Path) -> list[Command]:
    """Lines of ``sh`` blocks and of indented ones, continuations joined, pipes taken apart."""
    text = page.read_text(encoding="utf-8")
    plain = FENCED.sub("", text)
    indented = "\n".join(re.findall(r"^    (\S.*)$", plain.replace("\\\n", " "), re.MULTILINE))
    lines = "\n".join([*blocks(page, "sh"), indented]).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in _parts(line)]
    return [command for part in parts if (command := _command(page.name, part)) is not None]


def spans(page: Path) -> list[str]:
    """Inline code, outside of blocks."""
    plain = FENCED.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"`([^`\n]+)`", plain)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    plain = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.*?)\s*$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[str, str]]:
    """Targets of links and pictures within the repository: path, anchor; either may be empty."""
    plain = FENCED.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", plain) if "://" not in target]
    return [(path, anchor) for path, _, anchor in (target.partition("#") for target in targets)]


@cache
def help_of(module: str) -> set[str]:
    """What a module says of its options, in this process: starting one for each takes minutes."""
    said, arguments = io.StringIO(), sys.argv
    sys.argv = [module, "--help"]
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.suppress(SystemExit),
        ):
            warnings.simplefilter("ignore", RuntimeWarning)  # the module is imported already
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = arguments
    return set(re.findall(r"--[A-Za-z][\w.-]*", said.getvalue()))


def flags(words: list[str]) -> set[str]:
    """Options among the words of a command line."""
    return {word.split("=")[0] for word in words if re.match(r"--[A-Za-z]", word)}


def _parts(line: str) -> list[str]:
    without_comment = re.sub(r"(^|\s)#.*$", "", line)
    return re.split(r"\s(?:\||&&)\s", without_comment)


def _command(page: str, text: str) -> Command | None:
    try:
        words = shlex.split(text.replace("...", ""))
    except ValueError:
        return None
    variables = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return Command(page, variables, words) if words else None
