"""The plain text of an HTML document, for readers and programs that show no HTML. Linear time; not a sanitiser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9]{0,15}")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_LINK = re.compile(r"""[\s"']href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ALT = re.compile(r"""[\s"']alt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_UNSEEN = frozenset({"style", "script", "head", "title", "template", "noscript"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"})
_LINES = frozenset(
    {"div", "tr", "li", "dt", "dd", "section", "article", "header", "footer", "main", "address", "center"}
)
_CELLS = frozenset({"/td", "/th"})


def from_html(html: str) -> str:
    """What a reader of `html` would see: paragraphs apart, list items with a hyphen, links with their address."""
    page = _Page()
    skipping = ""
    for tag, words in _pieces(html):
        name = _NAME.match(tag)
        if name:
            found = name[0].lower()
            if skipping:
                # `a<b</script>`: in there a bracket begins no tag, except the one at the end.
                ended = found == f"/{skipping}" or tag.lower().endswith(f"</{skipping}")
                skipping = "" if ended else skipping
            elif found in _UNSEEN and not tag.endswith("/"):
                skipping = found
            else:
                page.tag(found, tag)
        if words and not skipping:
            page.words(words)
    return page.text()


def _pieces(html: str) -> Iterator[tuple[str, str]]:
    """Each tag without its brackets ("" before the first) and the characters after it; comments are left out."""
    at, closing = html.find("<"), 0
    yield "", html if at < 0 else html[:at]
    while at >= 0:
        tag, start = "", at
        if html.startswith("<!--", at):
            end = html.find("-->", at + 4)
            if end < 0:
                return
            start = end + 3
        elif html[at + 1 : at + 2].isalpha() or html.startswith(("</", "<!", "<?"), at):
            # Looked for only once it is passed: a document of nothing but `<a` would take quadratic time.
            if 0 <= closing <= at:
                closing = html.find(">", at)
            if closing > at:
                tag, start = html[at + 1 : closing], closing + 1
        at = html.find("<", max(start, at + 1))
        yield tag, html[start:] if at < 0 else html[start:at]


class _Page:
    """The text so far; white space of the source becomes one space, lines are broken by tags only."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 2
        """Line ends the text ends with; two at the beginning, where none is needed."""
        self._space = False
        self._links: list[tuple[str, int]] = []

    def words(self, raw: str) -> None:
        shown = _SPACE.sub(" ", _unescaped(raw))
        if shown.startswith(" "):
            self._space = True
        if not (core := shown.strip(" ")):
            return
        if self._space and not self._breaks:
            self._out.append(" ")
        self._out.append(core)
        self._breaks = 0
        self._space = shown.endswith(" ")

    def tag(self, name: str, tag: str) -> None:
        bare = name.removeprefix("/")
        if bare == "br":
            self._break(min(self._breaks + 1, 2))
        elif bare in _PARAGRAPHS:
            self._break(2)
        elif bare in _LINES:
            self._break(1)
        if name == "li":
            self._out.append("- ")
        elif name in _CELLS:
            self._space = True
        elif name == "img" and (alt := _ALT.search(tag)):
            self.words(alt[1] or alt[2] or "")
        elif bare == "a":
            self._link(name, tag)

    def text(self) -> str:
        return "".join(self._out).strip() + "\n" if self._out else ""

    def _link(self, name: str, tag: str) -> None:
        if name == "a":
            found = _LINK.search(tag)
            address = _unescaped(found[1] or found[2] or found[3] or "").strip() if found else ""
            self._links.append((address, len(self._out)))
            return
        if not self._links:
            return
        address, start = self._links.pop()
        # A link inside a link is no valid HTML; without this, looking at what each encloses takes quadratic time.
        self._links.clear()
        shown = "".join(self._out[start:]).strip()
        if address.lower().startswith(("http:", "https:", "mailto:")) and shown not in {
            address,
            address[7:],
            address[8:],
        }:
            self._out.append(f" ({address.removeprefix('mailto:')})" if shown else address)
            self._breaks = 0

    def _break(self, wanted: int) -> None:
        if wanted > self._breaks:
            self._out.append("\n" * (wanted - self._breaks))
            self._breaks = wanted
        self._space = False


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    try:
        return unescape(text)
    except ValueError:
        # A character reference with thousands of digits, which Python refuses to count.
        return text
