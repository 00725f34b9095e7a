"""``init`` and ``new``: a repository and a first declaration. Every question has a flag; off a terminal none is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from reconciler.cli.console import is_terminal, use_colour
from reconciler.cli.options import Common, common
from reconciler.clock import Clock
from reconciler.report.problems import escaped

T = TypeVar("T")


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--declarations", default="integrations", show_default=True, help="The folder of the declarations.")
@click.option("--empty", is_flag=True, help="Without the example declaration.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@common
def init(folder: Path, declarations: str, empty: bool, force: bool, common: Common) -> int:
    """Scaffold a repository: settings, a commented example, the editors' schema. Replaces nothing without --force."""
    from reconciler.workflow import scaffold

    choices = scaffold.Choices(declarations, not empty, Clock().now().date())
    written, kept = scaffold.init(folder, choices, force=force)
    for name in written:
        click.echo(escaped(str(folder / name)))
    for name in kept:
        common.say(f"kept {escaped(str(folder / name))}, which is there already (--force replaces it)")
    where = "" if str(folder) == "." else f"cd {escaped(str(folder))} && "
    common.say(f"next: {where}reconciler new")
    return 0


@click.command()
@click.argument("slug", required=False)
@click.option("--business", metavar="N", help="The parent business number.")
@click.option("--name", help="What people call the business.")
@click.option("--trigger", "triggers", multiple=True, metavar="NAME", help="What to sync. Repeatable.")
@click.option("--practice-id", metavar="REF", help="The reference to the practice id; a variable by default.")
@click.option("--awaited", is_flag=True, help="The practice id is ordered and not here yet.")
@click.option("--type", "types", multiple=True, metavar="NAME", help="An appointment type that counts. Repeatable.")
@click.option("--all-types", is_flag=True, help="All appointment types count.")
@click.option(
    "--status", "statuses", multiple=True, metavar="WORD", help="An appointment status that counts. Repeatable."
)
@click.option(
    "--custom-status", "custom", multiple=True, metavar="NAME", help="A status of the practice's own. Repeatable."
)
@click.option(
    "--location",
    "locations",
    multiple=True,
    metavar="N[@ZONE][=NAME|NAME…]",
    help="A location: business id, time zone, names in Nextech. Repeatable; none is an SMB.",
)
@click.option(
    "--practitioners",
    multiple=True,
    metavar="N=ID|ID…",
    help="Practitioners of one location, by id or name. Repeatable.",
)
@click.option("--time-zone", metavar="ZONE", help="Of locations that name none.")
@click.option("--offline", is_flag=True, help="Check no names against the live systems.")
@common
def new(slug: str | None, offline: bool, common: Common, **flags: Any) -> int:
    """Write one declaration. Asks at a terminal for what no flag gives; names are checked as they are typed."""
    from reconciler.core.problems import Severity
    from reconciler.errors import DeclarationError
    from reconciler.report import problems as report
    from reconciler.workflow import authoring, scaffold
    from reconciler.workflow.naming import LiveNames

    settings = common.settings()
    clock = Clock()
    today = clock.now().date()
    loaded = authoring.load(settings, (), today)
    with LiveNames(settings, clock, lambda text: click.echo(escaped(text), err=True), offline=offline) as names:
        it = _Questions(loaded, names, settings.declarations, settings.folder, today).ask(slug, flags)
    path = settings.declarations / f"{it.slug}.yaml"
    shown = escaped(os.path.relpath(path, Path.cwd()))
    text = scaffold.declaration_text(it)
    found = authoring.problems_of_new(loaded, it.slug, shown, text, today)
    if any(one.severity is Severity.ERROR for one in found):
        raise DeclarationError(found, message=f"{shown} would have errors; nothing was written")
    authoring.write(path, text, new=True)
    click.echo(shown)
    if found and not common.quiet:
        click.echo(report.render_text(found, {shown: text}, colour=use_colour(sys.stderr)), err=True, nl=False)
    if it.practice_id is not None and it.practice_id.startswith("env:"):
        common.say(
            f"next: export {it.practice_id.removeprefix('env:')}=… where plan and sync run, then reconciler plan"
        )
    else:
        common.say("next: reconciler plan")
    return 0


class _Questions:
    """Every question of ``new``, each with its flag, its check and what holds when nothing is answered."""

    def __init__(self, loaded: Any, names: Any, declarations: Path, folder: Path, today: Any) -> None:
        self.loaded = loaded
        self.names = names
        self.declarations = declarations
        self.folder = folder
        self.today = today
        self.asking = is_terminal()

    def ask(self, slug: str | None, flags: dict[str, Any]) -> Any:
        """A ``scaffold.New``. Raises ``click.UsageError`` for what a flag gets wrong, or what is not given at all."""
        from reconciler.core.schema import FILE_NAME
        from reconciler.core.sources import nextech
        from reconciler.workflow import scaffold

        slug = self.one("Slug (the file's name)", "SLUG", slug, self.slug)
        business = self.one("Business number of the account", "--business", flags["business"], self.business)
        name = self.one("Its name (empty: none)", "--name", flags["name"], self.text_or_none, default="")
        triggers = self.many(
            "Triggers, separated by commas", "--trigger", flags["triggers"], self.trigger, [nextech.FULFILLED_TRIGGER]
        )
        practice = None
        if not flags["awaited"]:
            usual = f"env:{scaffold.variable_for(slug)}"
            question = "Practice id, as a reference to a secret (- while it is awaited)"
            practice = self.one(question, "--practice-id", flags["practice_id"], self.reference, default=usual)
        if flags["types"] and flags["all_types"]:
            raise click.UsageError("give --type or --all-types, not both")
        types: tuple[str, ...] = ()
        if not flags["all_types"]:
            question = "Appointment types that count, separated by | (* for all)"
            types = self.many(
                question, "--type NAME or --all-types", flags["types"], self.item("appointment_types"), apart="|"
            )
        types = () if types == ("*",) else types
        statuses = self.many(
            "Appointment statuses (empty: fulfilled)",
            "--status",
            flags["statuses"],
            self.item("appointment_statuses"),
            [],
        )
        question = "The practice's own statuses, separated by commas (empty: none)"
        custom = self.many(question, "--custom-status", flags["custom"], self.item("custom_appointment_statuses"), [])
        locations = self.locations(business, practice, flags)
        schema = self.folder / FILE_NAME
        relative = os.path.relpath(schema, self.declarations) if schema.is_file() else None
        return scaffold.New(
            slug, business, name, triggers, practice, types, statuses, custom, locations, self.today, relative
        )

    def locations(self, business: int, practice: str | None, flags: dict[str, Any]) -> tuple[Any, ...]:
        """The locations, from flags or from questions; an SMB's one where nothing is said."""
        from reconciler.workflow.scaffold import Location

        by_location = dict(self.practitioners_flag(it, practice) for it in flags["practitioners"])
        found = []
        for spec in flags["locations"]:
            head, equals, tail = spec.partition("=")
            number, at, zone = head.partition("@")
            own = self.checked("--location", number, self.location_business)
            zone = self.zone(zone if at else flags["time_zone"], f"--location {number}@ZONE or --time-zone")
            names = self.each("--location", tail.split("|"), self.location_name(practice)) if equals else None
            found.append(Location(own, zone, names, by_location.pop(own, None)))
        if not found and not self.asking:
            zone = self.zone(flags["time_zone"], "--time-zone")
            found.append(Location(business, zone, None, by_location.pop(business, None)))
        while not flags["locations"] and self.asking:
            question = "Business id of a location" + (" (empty: no more)" if found else "")
            last = "" if found else str(business)
            answered = self.one(question, "--location", None, self.location_business_or_none, default=last)
            if answered is None:
                break
            own = answered
            zone = self.zone(None, "--time-zone", default=found[-1].time_zone if found else flags["time_zone"])
            question = "Its names in Nextech, separated by | (empty: every location)"
            names = self.many(question, "--location", (), self.location_name(practice), [], apart="|") or None
            found.append(Location(own, zone, names, by_location.pop(own, None)))
            if own == business:
                break
        if by_location:
            raise click.UsageError(f"--practitioners: {next(iter(by_location))} is none of the locations")
        return tuple(found)

    # How a question is asked

    def one(
        self, question: str, flag: str, given: str | None, check: Callable[[str], T], default: str | None = None
    ) -> T:
        """One answer: the flag's, else a person's, else the default's. A wrong one is asked again, or ends it."""
        if given is not None:
            return self.checked(flag, given, check)
        if not self.asking:
            if default is None:
                raise click.UsageError(f"give {flag}: there is no terminal to ask at")
            return check(default)
        while True:
            answer = click.prompt(question, default=default, show_default=bool(default), err=True, type=str)
            try:
                return check(answer.strip())
            except ValueError as error:
                click.echo(f"  {escaped(str(error))}", err=True)

    def many(
        self,
        question: str,
        flag: str,
        given: tuple[str, ...],
        check: Callable[[str], str],
        default: list[str] | None = None,
        apart: str = ",",
    ) -> tuple[str, ...]:
        """Several answers in one line; ``default`` where none is given."""
        if given:
            return self.each(flag, list(given), check)
        text = None if default is None else apart.join(default)

        def split(answer: str) -> tuple[str, ...]:
            parts = [it.strip() for it in answer.split(apart) if it.strip()]
            return tuple(dict.fromkeys(check(it) for it in parts))

        return self.one(question, flag, None, split, text)

    def each(self, flag: str, given: list[str], check: Callable[[str], str]) -> tuple[str, ...]:
        """Every value of a flag that is given several times."""
        return tuple(dict.fromkeys(self.checked(flag, it, check) for it in given))

    def checked(self, flag: str, given: str, check: Callable[[str], T]) -> T:
        """One value of a flag."""
        try:
            return check(given.strip())
        except ValueError as error:
            raise click.UsageError(f"{flag}: {error}") from None

    def zone(self, given: str | None, flag: str, default: str | None = None) -> str:
        """A time zone."""
        return self.one("Its time zone, such as America/New_York", flag, given, self.time_zone, default)

    # What an answer may be; ValueError says why not

    def slug(self, text: str) -> str:
        """A new slug."""
        from reconciler.declarations.directory import LONGEST_SLUG, RESERVED_SLUGS, SLUG

        if not SLUG.fullmatch(text) or len(text) > LONGEST_SLUG or text in RESERVED_SLUGS:
            raise ValueError(f"small letters, digits and single hyphens, at most {LONGEST_SLUG}; not `run`")
        there = next((it.file for it in self.loaded.files if it.slug == text), None)
        if there is not None:
            raise ValueError(f"{there} has this slug already")
        return text

    def business(self, text: str) -> int:
        """A number that no declaration has."""
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**18 or text[0] == "0":
            raise ValueError("a business number is a positive whole number of at most 18 digits")
        number = int(text)
        for it in self.loaded.files:
            if it.business == number:
                raise ValueError(f"business {number} is declared in {it.file}")
        for it in self.loaded.declared:
            if any(location.business == number for location in it.declaration.locations):
                raise ValueError(f"business {number} is a location in {it.file}")
        return number

    def location_business(self, text: str) -> int:
        """A location's number; the account's own is fine, for an SMB."""
        return self.business(text)

    def location_business_or_none(self, text: str) -> int | None:
        """None ends the list."""
        return self.business(text) if text else None

    def text_or_none(self, text: str) -> str | None:
        """One line."""
        return self.fits("Text", text) if text else None

    def reference(self, text: str) -> str | None:
        """A secret's reference, never repeated where it is none; a dash for one that is awaited."""
        return None if text == "-" else self.fits("Secret", text)

    def time_zone(self, text: str) -> str:
        """An IANA name."""
        from reconciler.core import model
        from reconciler.core.suggest import nearest, quoted

        if text in model.time_zones():
            return text
        close = nearest(text, model.time_zones())
        raise ValueError(f"{quoted(text)} is not a time zone" + (f"; did you mean {quoted(close)}?" if close else ""))

    def trigger(self, text: str) -> str:
        """A trigger that the live catalogue has, or (offline) any text."""
        from reconciler.workflow.naming import trigger_trouble

        catalogue = self.names.triggers()
        trouble = trigger_trouble(text, catalogue) if catalogue is not None else None
        if trouble:
            raise ValueError(trouble)
        return self.fits("Text", text)

    def item(self, field: str) -> Callable[[str], str]:
        """An item of one of the source's lists."""
        from reconciler.core.sources import nextech
        from reconciler.core.suggest import nearest, quoted

        apart = nextech.BY_NAME[field].separator

        def check(text: str) -> str:
            if apart in text:
                raise ValueError(f"{quoted(text)} holds a `{apart}`, which separates items on the wire")
            if field == "appointment_statuses" and text.casefold() not in nextech.STATUS_WORDS:
                close = nearest(text, nextech.STATUS_WORDS)
                meant = f"; did you mean {quoted(close)}?" if close else f"; one of {', '.join(nextech.STATUS_WORDS)}"
                raise ValueError(f"{quoted(text)} is not an appointment status that Nextech sends{meant}")
            return self.fits("Text", text)

        return check

    def location_name(self, practice: str | None) -> Callable[[str], str]:
        """A name that Nextech lists for the practice, or (offline) any text."""
        from reconciler.workflow.naming import name_trouble

        plain = self.item("location_names")

        def check(text: str) -> str:
            listed = self.names.locations(practice) if practice else None
            trouble = name_trouble(text, listed) if listed is not None else None
            if trouble:
                raise ValueError(trouble)
            return plain(text)

        return check

    def practitioners_flag(self, spec: str, practice: str | None) -> tuple[int, tuple[str, ...]]:
        """``N=ID|ID``: a location's number, and ids of practitioners for ids or names."""
        from reconciler.workflow.naming import practitioner_id

        number, equals, tail = spec.partition("=")
        if not equals or not number.strip().isdigit():
            raise click.UsageError("--practitioners: write N=ID|ID, with the location's business id")
        plain = self.item("practitioner_ids")

        def check(text: str) -> str:
            listed = self.names.practitioners(practice) if practice else None
            if listed is None:
                return plain(text)
            found, trouble = practitioner_id(text, listed)
            if found is None:
                raise ValueError(trouble)
            return found

        return int(number), self.each("--practitioners", tail.split("|"), check)

    def fits(self, kind: str, text: str) -> str:
        """Text that the model takes for one of its types."""
        from pydantic import TypeAdapter, ValidationError

        from reconciler.core import model

        try:
            found: str = TypeAdapter(getattr(model, kind)).validate_python(text, strict=True)
        except ValidationError as error:
            self.unfit(error.errors(include_input=False, include_url=False)[0])
        if not text.isprintable():
            raise ValueError("a character that cannot be printed")
        return found

    def unfit(self, detail: Any) -> NoReturn:
        """Why not, in the model's words, which never repeat the value."""
        raise ValueError(str(detail["ctx"]["error"]) if "error" in detail.get("ctx", {}) else "it does not fit")
