"""Templates in a directory: read again when a file changes, the last good version kept while one is broken.

`welcome/` holds the template `welcome`, `welcome.fr/` the same in French, which needs only the files that differ in
`subject.txt`, `body.html`, `body.txt`; its `template.toml` is that of `welcome` when it has none. All other files are
parts, which every template may include or extend by their path in the directory. Names that begin with a dot are
skipped, and so is what leads out of the directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from emailhub import logs
from emailhub.core import template_file as layout
from emailhub.core.errors import InvalidMessage, Problem, Refused
from emailhub.core.template import Broken, Template, languages

FILE = 512 * 1024
"""Bytes a file may have."""
TOTAL = 2 * 1024 * 1024
"""Bytes all files may have."""
FILES = 2000
SUFFIXES = frozenset({".html", ".htm", ".txt", ".css", ".xml", ".svg", ".jinja", ".j2", ".toml"})
"""Files that are read; a picture beside them is none of ours."""
LEVELS = 6
"""Folders within folders that are read."""
LOOK = 1.0
"""Seconds between two looks at whether anything changed."""

_Label = tuple[str, str]
Check = Callable[[Template], Awaitable[tuple[Problem, ...]]]

log = logs.get("templates")


class _File(NamedTuple):
    path: Path
    changed: int
    size: int


class _Read(NamedTuple):
    """What a look at the directory found: sources by path, when each changed, and paths that are not read, with why."""

    sources: dict[str, str]
    changed: dict[str, float]
    refused: dict[str, str]


class TemplateFolder:
    """The templates in `root`; see `ports.Catalog`. `check` compiles one; `clock` is monotonic seconds."""

    def __init__(self, root: Path, check: Check, *, clock: Callable[[], float]) -> None:
        self._root = root
        self._check = check
        self._clock = clock
        self._good: dict[_Label, Template] = {}
        self._broken: dict[_Label, Broken] = {}
        self._seen: Mapping[str, _File] | None = None
        self._looked: float | None = None
        self._turn = asyncio.Lock()

    async def find(self, id: str, language: str) -> Template | None:
        """The template in the best language there is; None: there is no such id."""
        await self.look()
        return next((self._good[id, one] for one in languages(language) if (id, one) in self._good), None)

    async def all(self) -> tuple[Template, ...]:
        """Every usable template in every language, by id and language."""
        await self.look()
        return tuple(self._good[label] for label in sorted(self._good))

    async def broken(self) -> tuple[Broken, ...]:
        """Those that cannot be used as they stand."""
        await self.look()
        return self.known_broken()

    def known_broken(self) -> tuple[Broken, ...]:
        """Those that could not be used at the last look."""
        return tuple(self._broken[label] for label in sorted(self._broken))

    async def look(self) -> None:
        """Read what changed, at most once in LOOK seconds. Who comes while that is done goes on with what there was."""
        now = self._clock()
        if self._looked is not None and (now - self._looked < LOOK or self._turn.locked()):
            return
        async with self._turn:
            if self._looked is None or self._clock() - self._looked >= LOOK:
                await self._look()
                self._looked = self._clock()

    async def _look(self) -> None:
        try:
            seen = await asyncio.to_thread(_survey, self._root)
            if seen == self._seen:
                return
            read = await asyncio.to_thread(_read, seen)
        except OSError as error:
            self._seen = None
            reason = f"the directory cannot be read: {error.strerror}"
            self._tell({("", ""): Broken(id=self._root.name, reason=reason, kept=True)})
            return
        try:
            good, broken = await self._taken_over(read)
        except Refused as refused:
            # Nobody can say now whether they compile: the next look tries again.
            log.warning("templates not checked", text=str(refused))
            return
        first, self._seen = self._seen is None, seen
        changed = [good[label].label for label in sorted(good) if self._good.get(label) != good[label]]
        gone = [self._good[label].label for label in sorted(self._good.keys() - good.keys())]
        self._good = good
        self._tell(broken)
        if first or changed or gone:
            log.info("templates read", count=len(good), changed=[] if first else changed, gone=gone)

    def _tell(self, broken: dict[_Label, Broken]) -> None:
        for label, one in broken.items():
            if self._broken.get(label) != one:
                log.warning("template broken", template=".".join(filter(None, label)), text=one.reason, kept=one.kept)
        self._broken = broken

    async def _taken_over(self, read: _Read) -> tuple[dict[_Label, Template], dict[_Label, Broken]]:
        good: dict[_Label, Template] = {}
        broken: dict[_Label, Broken] = {}
        found = _templates(read)
        for label, made in found.items():
            template = await self._checked(label, made)
            if isinstance(template, Template):
                good[label] = template
                continue
            kept = self._good.get(label)
            broken[label] = Broken(id=label[0], language=label[1], reason=template, kept=kept is not None)
            if kept is not None:
                good[label] = kept
        for path, reason in read.refused.items():
            top, _, rest = path.partition("/")
            if not _own(path) and (top, "") not in broken:
                broken[top, ""] = Broken(id=top, reason=f"{rest} {reason}".strip(), kept=(top, "") in good)
        return good, broken

    async def _checked(self, label: _Label, made: Template | str) -> Template | str:
        """The template when it compiles, else why not."""
        if isinstance(made, str):
            return made
        before = self._good.get(label)
        if before is not None and before.version == made.version:
            return made
        problems = await self._check(made)
        return "; ".join(problem.message for problem in problems[:3]) if problems else made


def _survey(root: Path) -> dict[str, _File]:
    """Every file below `root` by its path in there. Raises OSError when there is no such directory."""
    home = root.resolve(strict=True)
    found: dict[str, _File] = {}
    for path in _walk(home, home, LEVELS):
        if len(found) >= FILES:
            raise OSError(0, f"it holds more than {FILES} files")
        try:
            facts = path.stat()
            inside = path.resolve().is_relative_to(home)
        except OSError:
            continue  # it went while we looked
        found[path.relative_to(home).as_posix()] = _File(
            path if inside else Path(), facts.st_mtime_ns if inside else 0, facts.st_size if inside else 0
        )
    return found


def _walk(home: Path, folder: Path, levels: int) -> Iterator[Path]:
    """The files to read, and links to folders outside, which are refused by name."""
    for path in sorted(folder.iterdir()):
        # What is no text could not be named to the renderer, nor in the log.
        if path.name.startswith(".") or not path.name.isprintable():
            continue
        if path.is_dir():
            target = path.resolve()
            if not target.is_relative_to(home):
                yield path
            elif levels and not (path.is_symlink() and path.parent.resolve().is_relative_to(target)):
                # Links within the directory are followed (Kubernetes mounts are made of them), except round in circles.
                yield from _walk(home, path, levels - 1)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _read(seen: Mapping[str, _File]) -> _Read:
    read = _Read({}, {}, {})
    total = 0
    for name, file in seen.items():
        total += file.size
        if file.path == Path():
            read.refused[name] = "leads out of the directory: it is not read"
        elif file.size > FILE:
            read.refused[name] = f"has {file.size} bytes, at most {FILE} are read"
        elif total > TOTAL:
            read.refused[name] = f"is not read: all files together have more than {TOTAL} bytes"
        else:
            try:
                read.sources[name] = file.path.read_bytes().decode("utf-8-sig")
                read.changed[name] = file.changed / 1e9
            except UnicodeDecodeError:
                read.refused[name] = "is not UTF-8"
            except OSError as error:
                read.refused[name] = f"cannot be read: {error.strerror}"
    return read


def _templates(read: _Read) -> dict[_Label, Template | str]:
    """The templates in what was read, or why one of them cannot be used."""
    folders: dict[str, set[str]] = {}
    for path in (*read.sources, *read.refused):
        folder, _, name = path.partition("/")
        if name in layout.FILES:
            folders.setdefault(folder, set()).add(name)
    parts = tuple((path, source) for path, source in read.sources.items() if not _own(path))
    found: dict[_Label, Template | str] = {}
    for folder in sorted(folders):
        label = layout.called(folder)
        if label is None:
            found[folder, ""] = "a template is called by 1 to 100 letters, digits, hyphens, underscores and dots"
        else:
            found[label] = _template(folder, label, folders[folder], read, parts)
    return found


def _own(path: str) -> bool:
    return path.count("/") == 1 and path.partition("/")[2] in layout.FILES


def _template(
    folder: str, label: _Label, names: set[str], read: _Read, parts: tuple[tuple[str, str], ...]
) -> Template | str:
    bad = [f"{name} {read.refused[path]}" for name in sorted(names) if (path := f"{folder}/{name}") in read.refused]
    if bad:
        return "; ".join(bad)
    if not names & {layout.HTML, layout.TEXT}:
        return f"it has neither {layout.HTML} nor {layout.TEXT}"
    subject, html, text, own, general = (
        read.sources.get(path)
        for path in (
            *(f"{folder}/{name}" for name in (layout.SUBJECT, layout.HTML, layout.TEXT, layout.ABOUT)),
            f"{label[0]}/{layout.ABOUT}",
        )
    )
    try:
        about = layout.about((general if own is None else own) or "")
    except InvalidMessage as error:
        return f"{layout.ABOUT}: {error}"
    made = Template(
        id=label[0],
        language=label[1],
        subject=(subject or "").strip(),
        html=html,
        text=text,
        sender=about.sender,
        reply_to=about.reply_to,
        variables=about.variables,
        parts=parts,
        description=about.description,
        changed_at=max(read.changed[f"{folder}/{name}"] for name in names),
    )
    version = sha256(msgspec.json.encode(msgspec.structs.replace(made, changed_at=0.0))).hexdigest()[:12]
    return msgspec.structs.replace(made, version=version)
