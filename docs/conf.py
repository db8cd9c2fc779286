"""The documentation site: ``make docs``, or ``sphinx-build -W --keep-going docs build/docs``.

The pages are the Markdown files beside this one, written for a code host. What the site needs beyond that
(files outside of this folder, names in docstrings) is arranged here, not in the pages.
"""

from __future__ import annotations

from typing import Any

from docutils.nodes import Element
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

import lossnets
from lossnets.torchvision_compat import ensure_torchvision

ensure_torchvision()  # before autodoc imports what imports torchvision

project = "lossnets"
author = "the lossnets authors"
project_copyright = "the lossnets authors, Apache-2.0"
version = release = lossnets.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["results", "_build"]
html_theme = "furo"
html_title = f"lossnets {release}"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4  # anchors of headings, as code hosts make them

# Docstrings are Google's; names in single backquotes are Python objects, linked where the site has them.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of dataclasses as a list, not once more as objects
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "members": True,
    # what these bring is documented elsewhere
    "inherited-members": "Module,Exception,BaseException,tuple,str,dict,Protocol,ABC",
}
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(?!lossnets).*"),  # other projects' types: their inventories would have to be downloaded
    ("py:class", r"lossnets\.[a-z_]+\..*"),  # types in signatures that are not public
    ("py:obj", ".*"),  # single backquotes also hold arguments, constants and commands
]

PAGES_ELSEWHERE = {"../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changelog.md"}
"""Files in the root of the repository that the site has as pages."""


def lead_to_pages(_app: Sphinx, docname: str, content: list[str]) -> None:
    """Links to a file in the root of the repository lead to the page of the site that includes it."""
    up = "../" * docname.count("/")
    for outside, page in PAGES_ELSEWHERE.items():
        content[0] = content[0].replace(f"]({up}{outside}", f"]({up}{page}")


def skip_doubles(app: Sphinx, what: str, name: str, _obj: Any, _skip: bool, _options: Any) -> bool | None:
    """What `lossnets` itself offers is documented there, and not again where it is written."""
    if what == "module" and app.env.docname != "api/lossnets" and name in lossnets.__all__:
        return True
    return None


def keep_whole(_app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking "What is asked: ..." of a property for a type: the annotation has that."""
    if what in ("property", "attribute") and lines:
        lines[:0] = ["..", ""]  # an empty comment


def find_by_last_names(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element) -> Any:
    """Lead "Store.records", or a class by the module where it is written, to the one object so called."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target:
        return None
    tail = target.rpartition(".")[2] if target.startswith("lossnets.") else target
    objects = env.domains.python_domain.objects
    found = [name for name, entry in objects.items() if name.endswith(f".{tail}") and not entry.aliased]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, text, found[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", lead_to_pages)
    app.connect("autodoc-skip-member", skip_doubles)
    app.connect("autodoc-process-docstring", keep_whole, priority=400)  # napoleon has 500
    app.connect("missing-reference", find_by_last_names)
    return {"parallel_read_safe": True}
