"""A page that is one file: it needs no network and can be sent to somebody."""

import base64
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sdebnn import storage

LARGEST_PICTURE = 2**24


def page_of(template: str, **content: Any) -> bytes:
    """A page from a template of this package, which extends `page.html`, in UTF-8.

    **Arguments:**

    - `template`: the name of its file.
    - `content`: what it asks for. All of it is text to the page, wherever it comes from, but for `markupsafe.Markup`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sdebnn.runs", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(**content).encode(errors="backslashreplace")


def picture(file: Path, caption: str = "") -> Markup:
    """The figure of a PNG, for a page; it is named as the file, and its name is its caption unless one is given.

    **Raises:** `StorageError` for a file that cannot be read, or larger than any picture drawn here.
    """
    png = storage.read(file, limit=LARGEST_PICTURE)
    # A PNG has its width and height, of four bytes each, in front.
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    name = file.stem.replace("_", " ").capitalize()
    return Markup(
        '<figure{wide}><img src="data:image/png;base64,{png}" alt="{name}"><figcaption>{caption}</figcaption></figure>'
    ).format(
        wide=Markup(' class="across"' if width > 2 * height else ""),
        png=base64.b64encode(png).decode(),
        name=name,
        caption=caption or name,
    )
