"""The pages are true: their snippets run or compile, their links and paths lead somewhere."""

from __future__ import annotations

import ast
import re

import documents
import numpy as np
import pytest
from documents import PAGES, ROOT

PLACES = (ROOT, ROOT / "fast_inerf_ros", ROOT / "fast_inerf_ros" / "nodes", ROOT / "docs")
"""Where paths in the text begin."""


def name_of(page):
    return page.name


def test_python_snippet_projects_a_point_into_the_image():
    (snippet,) = documents.blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    exec(snippet, names)
    assert names["camera"].contains(names["pixel"])
    assert np.all(np.isfinite(names["pixel"]))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_snippets_compile_and_import_what_exists(page):
    for snippet in documents.blocks(page, "python"):
        imports = [node for node in ast.parse(snippet).body if isinstance(node, ast.ImportFrom)]
        for node in imports:
            exec(ast.unparse(node), {})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page):
    for path, anchor in documents.links(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in documents.anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_the_text_exist(page):
    for span in documents.spans(page):
        if re.fullmatch(r"[\w./-]+/[\w.-]+\.(?:py|md|yaml|xml|rviz|jpg|png)", span):
            parts = span.split("/")
            ours = any((place / parts[0]).is_dir() for place in PLACES)
            assert not ours or any((place / span).exists() for place in PLACES), span


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    called = re.findall(r"(?:`|^ *)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    for target in called:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_anchors_are_those_of_github():
    text = "# Coming from fast-iNeRF\n\n## `make demo`: what it is\n\n```sh\n# no heading\n```\n"

    class Page:
        @staticmethod
        def read_text(encoding):
            return text

    assert documents.anchors(Page) == {"coming-from-fast-inerf", "make-demo-what-it-is"}
