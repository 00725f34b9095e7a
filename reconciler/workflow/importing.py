"""Import: observe a business, write its declaration, check it as a plan would, record what was seen. Nothing goes in force."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from reconciler import observe
from reconciler.adopt import build
from reconciler.adopt.draft import Draft
from reconciler.adopt.receipts import PLAN_ID, receipts
from reconciler.core import desired, in_force, lint, live
from reconciler.core.declared import Declared
from reconciler.core.problems import Severity
from reconciler.core.records import ObjectReceipt, Recorded
from reconciler.core.values import Fingerprint
from reconciler.declarations import File, Loaded, shape, yaml_events
from reconciler.declarations.directory import LONGEST_SLUG, RESERVED_SLUGS, SLUG, Positions
from reconciler.errors import InternalError, ReconcilerError, RemoteError, SecretError, UsageError
from reconciler.store import audit
from reconciler.store import receipts as receipt_rows
from reconciler.store.database import Store

_MOST_DROPS = 200
"""Fields that a draft may lose before its declaration is right; it has far fewer."""


class NotImported(ReconcilerError):
    """One business cannot be declared; the message says why. Others go on."""


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    runner: str = "platform"
    time_zones: Mapping[int | None, str] = field(default_factory=dict)
    locations: tuple[int, ...] = ()
    """Named by the user, for an API that does not list them."""
    group: int | None = None
    slug: str | None = None


@dataclass(frozen=True)
class Context:
    """What importing needs."""

    client: observe.Reads
    loaded: Loaded
    recorded: Recorded
    fingerprint: Fingerprint
    reveal: Callable[[str], str]
    now: Callable[[], datetime]
    folder: Path
    """The declarations folder."""
    commit: str | None = None


@dataclass(frozen=True)
class Imported:
    """One business, ready to be written."""

    slug: str
    business: int
    path: Path
    text: str
    declared: Declared
    secrets: Mapping[str, str]
    """Variable -> what it holds, in words: to be stored by a person."""
    receipts: tuple[ObjectReceipt, ...]


def known_undeclared(context: Context) -> tuple[int, ...]:
    """What ``--all`` means, since the API lists no businesses: those that the store has and no file declares."""
    declared = {it.business for it in context.loaded.files if it.business is not None}
    found = {it.business for it in context.recorded.in_force}
    found |= {it.business for it in context.recorded.objects if it.kind == "group"}
    return tuple(sorted(found - declared))


def make(context: Context, business: int, options: Options, catalogue: tuple[live.Trigger, ...]) -> Imported:
    """Observe one business and draft its declaration. Raises NotImported, or errors.RemoteError where a read fails."""
    _refuse_declared(context, business)
    slug, document = _slug(context, business, options)
    path = _free_path(context, slug)
    group, seen = _observe(context, business, slug, document, options)
    if options.locations and (unmapped := [it for it in options.locations if it not in {one.business for one in seen}]):
        names = ", ".join(str(it) for it in unmapped)
        raise NotImported(f"location {names} is not mapped to group {group.group_id} of business {business}")
    elsewhere = _elsewhere(context, seen)
    seen = tuple(it for it in seen if it.business not in elsewhere)
    if not seen:
        raise NotImported(
            f"no location of business {business} is left to declare",
            hint="the API does not show which are mapped: name them with --location BUSINESS"
            if not elsewhere
            else None,
        )
    receipt_names_it = any(
        it.kind == "group" and it.business == business and it.group_id == group.group_id
        for it in context.recorded.objects
    )
    pinned = not receipt_names_it or document is None or document.get("group_pin") is not None
    subject = build.Subject(
        slug=slug,
        business=business,
        group=group,
        locations=seen,
        catalogue=catalogue,
        fingerprint=context.fingerprint,
        runner=options.runner,
        time_zones=options.time_zones,
        known=document,
        pinned=pinned,
        elsewhere=elsewhere,
    )
    draft = build.build(subject)
    text, declared = _checked(context, draft, catalogue)
    return Imported(
        slug, business, path, text, declared, draft.secrets, _receipts(context, declared, group, seen, catalogue)
    )


def _refuse_declared(context: Context, business: int) -> None:
    for it in context.loaded.files:
        if it.business == business:
            raise NotImported(f"business {business} is declared in {it.file} already; nothing was written over it")
    for one in context.loaded.declared:
        for location in one.declaration.locations:
            if location.business == business:
                raise NotImported(f"business {business} is a location that {one.file} declares")


def _slug(context: Context, business: int, options: Options) -> tuple[str, in_force.Document | None]:
    """The name of the file, and the configuration in force: what was recorded, else what was asked for."""
    force = next((it for it in context.recorded.in_force if it.business == business), None)
    recorded = next(
        (it.slug for it in context.recorded.objects if it.business == business and it.kind == "group"), None
    )
    slug = options.slug or (force.slug if force is not None else None) or recorded or f"business-{business}"
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG or slug in RESERVED_SLUGS:
        raise UsageError(f"--slug {slug}: small letters, digits and single hyphens, at most {LONGEST_SLUG}; not `run`")
    return slug, force.document if force is not None else None


def _free_path(context: Context, slug: str) -> Path:
    path = context.folder / f"{slug}.yaml"
    taken = next((it.file for it in context.loaded.files if it.slug == slug), None)
    if taken is not None or os.path.lexists(path):
        raise NotImported(f"{taken or path} is there already; nothing is written over it", hint="give another --slug")
    return path


def _observe(
    context: Context, business: int, slug: str, document: in_force.Document | None, options: Options
) -> tuple[live.LiveGroup, tuple[build.Seen, ...]]:
    """The group and its locations: as the API lists them, else as they are recorded, named, or the business itself."""
    recorded = {it.business for it in context.recorded.objects if it.kind == "mapping" and it.slug == slug}
    recorded |= {int(key) for key in (document or {}).get("locations", {})}
    named = tuple(sorted({*recorded, *options.locations}))
    target = observe.Target(business, named or (business,), frozenset(recorded))
    answer = observe.observe(context.client, (target,), concurrency=1)[business]
    if answer.error:
        raise _unreadable(business, answer.error)
    group = _group(context, business, answer, options)
    listed = {it.business: it for it in group.mappings or ()}
    found = {number: build.Seen(number, it) for number, it in listed.items()}
    for number in named or (business,):
        own = answer.mappings.get(number)
        if number in found:
            continue
        if own is not None and own.sight == "unreadable":
            raise _unreadable(number, own.error)
        if own is not None:
            have = next((it for it in own.mappings if it.group_id == group.group_id), None)
            if have is not None:
                found[number] = build.Seen(number, have)
        elif group.mappings is None and number in named:
            found[number] = build.Seen(number)
    return group, tuple(found[number] for number in sorted(found))


def _unreadable(business: int, why: str) -> RemoteError:
    return RemoteError(
        f"business {business} could not be read: {why}; nothing was written for it", method="GET", path=""
    )


def _group(context: Context, business: int, answer: live.LiveBusiness, options: Options) -> live.LiveGroup:
    by_id = {it.group_id: it for it in answer.groups}
    recorded = [
        it.group_id
        for it in context.recorded.objects
        if it.kind == "group" and it.business == business and it.group_id in by_id
    ]
    wanted = options.group if options.group is not None else (recorded[0] if len(recorded) == 1 else None)
    if wanted is not None:
        if wanted not in by_id:
            raise NotImported(f"business {business} has no group {wanted} of this source")
        return by_id[wanted]
    if not by_id:
        raise NotImported(f"business {business} has no group of this source: there is nothing to declare")
    if len(by_id) > 1:
        ids = ", ".join(str(it) for it in sorted(by_id))
        raise NotImported(f"business {business} has the groups {ids}", hint="name one with --group ID")
    return next(iter(by_id.values()))


def _elsewhere(context: Context, seen: tuple[build.Seen, ...]) -> dict[int, str]:
    numbers = {it.business for it in seen}
    return {
        location.business: one.file
        for one in context.loaded.declared
        for location in one.declaration.locations
        if location.business in numbers
    }


def _checked(context: Context, draft: Draft, catalogue: tuple[live.Trigger, ...]) -> tuple[str, Declared]:
    """The text, once it passes every rule of a declaration: what breaks one is left undeclared, with the reason."""
    for _ in range(_MOST_DROPS):
        text = draft.render()
        read = yaml_events.read(text, draft.slug)
        if read.problems:
            raise InternalError(f"an imported declaration cannot be read back: {read.problems[0].message}")
        checked = shape.check(read.value)
        if isinstance(checked, ValidationError):
            errors = checked.errors(include_input=False, include_url=False, include_context=False)
            if not any(draft.drop(it["loc"], "it is not of the right form") for it in errors):
                raise InternalError("an imported declaration is not of the right form")
            continue
        declared = Declared(draft.slug, f"{draft.slug}.yaml", checked, Positions(text, f"{draft.slug}.yaml"))
        problems = lint.lint((declared,), today=context.now().date(), catalogue=catalogue)
        wrong = [it for it in problems if it.severity is Severity.ERROR]
        if not wrong:
            return text, declared
        places = {declared.positions[path]: path for path in declared.positions}
        paths = [(places.get(it.position, ()), it.message) for it in wrong]
        if any(draft.drop(*one) for one in paths):
            continue  # one at a time: a field may have been told of twice
        released = [draft.release(*one) for one in paths]
        if not any(released):
            raise NotImported(f"business {draft.business} cannot be declared: {wrong[0].message}", hint=wrong[0].hint)
    raise InternalError("an imported declaration does not come right")


def _receipts(
    context: Context,
    declared: Declared,
    group: live.LiveGroup,
    seen: tuple[build.Seen, ...],
    catalogue: tuple[live.Trigger, ...],
) -> tuple[ObjectReceipt, ...]:
    secrets: dict[str, str] = {}
    unresolved: set[str] = set()
    it = declared.declaration
    keyed = [("practice.id", it.group.practice_id), ("contacts_api_key", it.contacts_api_key)]
    keyed += [("practice.id", location.practice_id) for location in it.locations]
    for key, reference in keyed:
        if reference is None or reference in secrets:
            continue
        try:
            secrets[reference] = context.fingerprint(key, context.reveal(reference).strip())
        except SecretError:
            secrets[reference] = context.fingerprint(key, f"unresolved {reference}")
            unresolved.add(secrets[reference])
    want = desired.desired(declared, secrets=secrets, catalogue=catalogue)
    before = {(one.kind, one.business): one for one in context.recorded.objects if one.group_id == group.group_id}
    return receipts(
        want,
        group,
        {one.business: one.have for one in seen},
        before,
        fingerprint=context.fingerprint,
        resolves=lambda print_: print_ not in unresolved,
        at=context.now(),
        commit=context.commit,
    )


def write_file(it: Imported) -> None:
    """Write the declaration as a new file, as a whole or not at all; one that is there is never written over."""
    try:
        it.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=it.path.parent, prefix=f".{it.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                opened.write(it.text)
                opened.flush()
                os.fsync(opened.fileno())
            Path(name).chmod(0o644)
            os.link(name, it.path)  # refuses where a file has come in between; a rename would not
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError:
        raise NotImported(f"{it.path} is there already; nothing is written over it") from None
    except OSError as error:
        raise NotImported(f"{it.path} cannot be written: {(error.strerror or 'error').lower()}") from None


def record(store: Store, it: Imported, *, who: str, run_url: str | None, commit: str | None) -> None:
    """The receipts and one audit record, in one transaction."""
    with store.begin() as connection:
        receipt_rows.put_objects(connection, it.receipts)
        audit.append(
            connection,
            {
                "operation": PLAN_ID,
                "who": who,
                "run_url": run_url,
                "commit": commit,
                "slug": it.slug,
                "business": it.business,
                "objects": [
                    {
                        "kind": one.kind,
                        "business": one.business,
                        "group_id": one.group_id,
                        "fields": [field.path for field in one.fields],
                    }
                    for one in it.receipts
                ],
            },
            at=store.now(),
        )


def shown_path(it: Imported, folder: Path) -> str:
    """The file as messages name it."""
    return it.path.relative_to(folder).as_posix() if it.path.is_relative_to(folder) else it.path.as_posix()


def with_imported(loaded: Loaded, it: Imported) -> Loaded:
    """The declarations with one more, so that two imports of one run never declare the same location."""
    declared = tuple(sorted([*loaded.declared, it.declared], key=lambda one: one.slug))
    return replace(loaded, declared=declared, files=(*loaded.files, File(it.path.name, it.slug, it.business, None)))
