"""``lookup``: what operators look up with curl otherwise. Reads only."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from reconciler.cli.complete import complete_slugs
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clients.integrations import IntegrationsClient, NamedItem
from reconciler.clock import Clock
from reconciler.core import naming
from reconciler.core.live import LiveGroup
from reconciler.errors import UsageError
from reconciler.report.lookup_text import comment, scalar, table, yaml_list
from reconciler.report.problems import escaped
from reconciler.workflow import looking, looking_tags
from reconciler.workflow.session import load_declarations, open_transport

target_argument = click.argument("target", metavar="[BUSINESS|SLUG]", required=False, shell_complete=complete_slugs)
name_option = click.option(
    "--name", metavar="TEXT", help="Only what bears this name; exit 1 where nothing does exactly."
)
practice_option = click.option("--practice-id", metavar="REF", help="env:RECONCILER_SECRET_… or file:PATH#key.path.")
plus_option = click.option("--practice-plus", is_flag=True, help="Ask Practice+ (as the declaration says otherwise).")


@click.group()
def lookup() -> None:
    """Look up triggers, groups, locations or practitioners as the live systems know them; tags as the runner sends them."""


class _Search:
    """What ``--name`` leaves of a list, and what is said about it."""

    def __init__(self, what: str, text: str | None) -> None:
        self.what = what
        self.text = text
        self.exact = text is None
        self.close: list[str] = []

    def of(self, items: Sequence[Any]) -> list[Any]:
        """The items that the text means: exactly, else nearly."""
        if self.text is None:
            return list(items)
        found = naming.search(self.text, items)
        self.exact = self.exact or bool(found.exact)
        self.close += [items[i].name or items[i].id for i in found.near]
        return [items[i] for i in found.exact or found.near]

    def conclude(self, common: Common) -> int:
        """0 where it was found exactly; else what was probably meant, and 1."""
        if self.exact:
            return 0
        names = list(dict.fromkeys(self.close))
        said = f"no {self.what} is called exactly {escaped(str(self.text))}"
        if len(names) == 1:
            said += f"; did you mean {escaped(names[0])}?"
        elif names:
            said += f"; {len(names)} are like it"
        common.say(said)
        return 1


def _open(
    common: Common, target: str | None, *, needed: bool = False
) -> tuple[Any, looking.Target | None, Callable[[], Any]]:
    settings, clock = common.settings(), Clock()
    if target is None:
        if needed:
            raise UsageError("name a business or slug")
        return settings, None, lambda: open_transport(settings, clock)
    found = looking.find_target(load_declarations(settings, clock), target)
    return settings, found, lambda: open_transport(settings, clock)


def _document(what: str, content: dict[str, Any]) -> str:
    # ASCII only: a direction mark in a name then cannot reorder what a terminal shows.
    return json.dumps({"format_version": "1.0", "kind": "lookup", "what": what, **content}, indent=2) + "\n"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{it}\n" for it in lines)


@lookup.command()
@target_argument
@name_option
@output_option("text", "json", "yaml")
@common
def triggers(target: str | None, name: str | None, outputs: Outputs, common: Common) -> int:
    """The source's trigger catalogue; with a business, which of it the business declares and has now."""
    _, found, transport = _open(common, target)
    with transport() as opened:
        every = looking.triggers(IntegrationsClient(opened), found)
    search = _Search("trigger", name)
    rows = search.of(every)

    def state(it: looking.TriggerRow) -> str:
        words = ["active" if it.trigger.active else "inactive"]
        words += ["declared"] if it.declared else []
        words += [f"in group {number}" for number in it.live_groups]
        return ", ".join(words)

    def json_row(it: looking.TriggerRow) -> dict[str, Any]:
        own = it.trigger
        shown = {"id": own.id, "service": own.service, "display_name": own.display_name, "active": own.active}
        return shown | ({"declared": it.declared, "groups": list(it.live_groups)} if found else {})

    outputs.write(
        lambda form: {
            "json": lambda: _document("triggers", {"triggers": [json_row(it) for it in rows]}),
            "yaml": lambda: _lines(
                yaml_list("triggers", [(it.id, it.name) for it in rows if it.trigger.active or name])
            ),
            "text": lambda: _lines(table([(it.id, it.name, str(it.trigger.id), state(it)) for it in rows])),
        }[form]()
    )
    return search.conclude(common)


@lookup.command()
@target_argument
@output_option("text", "json", "yaml")
@common
def groups(target: str | None, outputs: Outputs, common: Common) -> int:
    """The live groups of a business, with what their answers show. Values of secure properties are never shown."""
    _, found, transport = _open(common, target, needed=True)
    if found is None:
        raise UsageError("name a business or slug")
    with transport() as opened:
        every, names = looking.groups(IntegrationsClient(opened), found)

    def trigger_names(it: LiveGroup) -> list[str] | None:
        return None if it.triggers is None else [names.get(number, str(number)) for number in it.triggers]

    def properties(it: LiveGroup) -> dict[str, str | None] | None:
        # Also a practice id that the server does not mark as secure is one.
        return (
            None
            if it.properties is None
            else {one.key: None if one.secure or one.key == "practice.id" else one.value for one in it.properties}
        )

    def json_row(it: LiveGroup) -> dict[str, Any]:
        mapped = None if it.mappings is None else [one.business for one in it.mappings]
        return {"id": it.group_id, "triggers": trigger_names(it), "properties": properties(it), "locations": mapped}

    def text() -> str:
        lines = []
        for it in every:
            shown = trigger_names(it)
            lines.append(f"group {it.group_id}")
            lines.append(f"  triggers: {'not shown' if shown is None else escaped(', '.join(shown)) or 'none'}")
            held = properties(it)
            if held is None:
                lines.append("  properties: not shown")
            rows = [(key, "<secure>" if value is None else value) for key, value in (held or {}).items()]
            lines += table(rows, "  ")
            if it.mappings is not None:
                lines.append(f"  locations: {', '.join(str(one.business) for one in it.mappings) or 'none'}")
        return _lines(lines)

    def yaml() -> str:
        if len(every) > 1:
            return _lines(
                [comment("several groups: keep one id"), "group:", *(f"  # id: {it.group_id}" for it in every)]
            )
        return _lines(["group:", *(f"  id: {it.group_id}" for it in every)] if every else [comment("no group")])

    outputs.write(
        lambda form: {
            "json": lambda: _document("groups", {"business": found.parent, "groups": [json_row(it) for it in every]}),
            "yaml": yaml,
            "text": text,
        }[form]()
    )
    if not every:
        common.say(f"business {found.parent} has no group of this source")
    return 0


@lookup.command()
@target_argument
@output_option("text", "json", "yaml")
@common
def tags(target: str | None, outputs: Outputs, common: Common) -> int:
    """The campaign tags that check-ins carry; with a business, the values seen in contacts already sent.

    Asks no remote system. Values of lists that the practice configures are shown; those that are of a person (a city, a
    birth date, a comment) are kept nowhere.
    """
    settings, clock = common.settings(), Clock()
    found = looking_tags.look_up(settings, clock.now, target, lambda: load_declarations(settings, clock))
    outputs.write(lambda form: {"json": _tags_json, "yaml": _tags_yaml, "text": _tags_text}[form](found))
    return 0


def _tags_json(found: looking_tags.TagList) -> str:
    rows = [
        {
            "tag": it.name,
            "says": it.says,
            "sent": it.sent,
            "kept": it.is_kept,
            "values": [{"value": one.value, "contacts": one.contacts, "last": one.last} for one in it.values],
        }
        for it in found.tags
    ]
    about = {"basis": found.basis, "slug": found.slug or None, "revision": found.revision}
    return _document("tags", {"business": found.business, **about, "locations": list(found.locations), "tags": rows})


def _tags_text(found: looking_tags.TagList) -> str:
    heads = {
        "in force": f"{found.slug} ({found.business}): in force, revision {found.revision}",
        "declared": f"{found.slug} ({found.business}): declared, not in force yet",
        "default": "What check-ins can carry; name a business for the values that its contacts took",
    }
    rows = [("tag", "sent", "says")] + [(it.name, it.sent, it.says) for it in found.tags]
    lines = [escaped(heads[found.basis]), *table(rows, "  ")]
    if found.basis == "default":
        return _lines(lines)
    lines.append("values seen in contacts already sent:")
    seen = [
        (it.name, one.value, f"{one.contacts} contact{'s' if one.contacts > 1 else ''}", f"last {one.last}")
        for it in found.tags
        for one in it.values
    ]
    lines += table(seen, "  ") or ["  none"]
    unkept = [it.name for it in found.tags if it.sent == "yes" and not it.is_kept]
    if unkept:
        lines.append(f"sent, and of a person, so kept nowhere: {', '.join(unkept)}")
    return _lines(lines)


def _tags_yaml(found: looking_tags.TagList) -> str:
    return _lines(yaml_list("campaign_tags", [(it.name, "") for it in found.tags if it.sent == "yes"]))


def _practices(
    what: str,
    target: str | None,
    name: str | None,
    practice_id: str | None,
    practice_plus: bool,
    check: bool,
    outputs: Outputs,
    common: Common,
) -> int:
    settings, found, transport = _open(common, target)
    wanted = looking.practices_of(found, practice_id, practice_plus=practice_plus)
    if check and not any(it.locations for it in wanted):
        raise UsageError("--check needs a business or slug: what is checked is its locations")
    with transport() as opened:
        every = looking.look_up(IntegrationsClient(opened), settings.secrets, what, wanted, check=check)
    search = _Search(what.removesuffix("s"), name)
    shown = [(it, search.of(it.items)) for it in every]
    render = {"json": _practices_json, "yaml": _practices_yaml, "text": _practices_text}
    outputs.write(lambda form: render[form](what, shown))
    unread = [it for it in every if it.error]
    for it in unread:
        common.say(f"error: {escaped(it.practice.reference)}: {escaped(it.error)}")
    if unread:
        return 7
    return search.conclude(common) or int(any(not one.ok for it in every for one in it.checks))


Shown = list[tuple[looking.Listed, list[NamedItem]]]


def _practices_json(what: str, shown: Shown) -> str:
    practices = [
        {
            "practice_id": it.practice.reference,
            "level": it.practice.level,
            "locations": [business for business, _, _ in it.practice.locations],
            "error": it.error or None,
            "listed": [{"id": one.id, "name": one.name} for one in items],
            "checks": [
                {"business": one.business, "ok": one.ok, "text": one.text, "missing": list(one.missing)}
                for one in it.checks
            ],
        }
        for it, items in shown
    ]
    return _document(what, {"practices": practices})


def _practices_text(what: str, shown: Shown) -> str:
    lines = []
    for it, items in shown:
        businesses = ", ".join(str(business) for business, _, _ in it.practice.locations)
        level = {"argument": "given", "location": "the location's", "group": "the group's"}[it.practice.level]
        lines.append(escaped(f"{it.practice.reference} ({level}{f'; {businesses}' if businesses else ''})"))
        lines += table([(one.id, one.name) for one in items], "  ") or ([] if it.error else [f"  no {what}"])
        for one in it.checks:
            more = f": {', '.join(one.missing)}" if one.missing else ""
            lines.append(escaped(f"  {'ok' if one.ok else 'wrong'}  {one.business}: {one.text}{more}"))
    return _lines(lines)


def _practices_yaml(what: str, shown: Shown) -> str:
    key = "location_names" if what == "locations" else "practitioner_ids"
    lines = []
    for it, items in shown:
        if len(shown) > 1:
            lines.append(comment(it.practice.reference))
        if what == "locations":
            lines += yaml_list(key, [(one.name or one.id, "") for one in items])
        elif all(one.id for one in items):
            lines += yaml_list(key, [(one.id, one.name) for one in items])
        else:
            lines.append(comment("the answer has names and no ids"))
            lines += [f"# {scalar(one.name)}" for one in items]
    return _lines(lines)


def _practice_command(what: str, text: str) -> None:
    @lookup.command(what, help=text)
    @target_argument
    @name_option
    @practice_option
    @plus_option
    @click.option("--check", is_flag=True, help="Also check what is set up and declared for each location.")
    @output_option("text", "json", "yaml")
    @common
    def command(
        target: str | None,
        name: str | None,
        practice_id: str | None,
        practice_plus: bool,
        check: bool,
        outputs: Outputs,
        common: Common,
    ) -> int:
        return _practices(what, target, name, practice_id, practice_plus, check, outputs, common)

    del command


_practice_command("locations", "The locations that Nextech knows for a practice id: the location's before the group's.")
_practice_command("practitioners", "The practitioners of a practice id, with the ids that declarations name.")
