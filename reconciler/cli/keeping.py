"""``forget``, ``lock``, ``store``, ``audit``: looking after what is remembered."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from reconciler.cli.complete import complete_slugs
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clock import Clock
from reconciler.errors import StoreError, UsageError
from reconciler.store import audit as audit_rows
from reconciler.store import in_force, journal, keys, leases, ledger_keys, maintenance, receipts
from reconciler.store.database import Store, open_store
from reconciler.workflow import session


def _open(common: Common, *, write: bool) -> tuple[Any, Store]:
    settings = common.settings()
    return settings, open_store(settings.store, now=Clock().now, write=write)


@click.command()
@click.argument("slug", shell_complete=complete_slugs)
@click.option("--location", type=int, metavar="BUSINESS", help="Only this location.")
@common
def forget(slug: str, location: int | None, common: Common) -> int:
    """Forget what was applied of a business or location. Nothing live changes, and nobody syncs it any more."""
    settings, opened = _open(common, write=True)
    clock = Clock()
    holder = leases.Holder("forget", settings.actor, settings.run_url)
    with opened as store, leases.acquire(store, "apply", holder), store.begin() as connection:
        known = list(receipts.objects(connection, slug))
        current = in_force.in_force(connection, slug)
        unsettled = [it for it in journal.open_intents(connection) if it.slug == slug and location is None]
        for intent in unsettled:  # one keeps a group from being created as long as it stands
            journal.close_intent(
                connection, intent.id, outcome="failed", at=clock.now(), detail="forgotten by a person"
            )
        if not known and current is None and not unsettled:
            raise UsageError(f"nothing was applied under the name {slug}")
        mine = [it for it in known if location is None or (it.kind == "mapping" and it.business == location)]
        entry = None if current is None or location is None else current.document["locations"].get(str(location))
        if location is not None and not mine and entry is None:
            raise UsageError(f"{slug} has no applied location {location}")
        for it in mine:
            receipts.delete_object(connection, it.kind, it.business, it.group_id)
        if current is not None:
            if location is None:
                in_force.delete_in_force(connection, slug)
            elif entry is not None:
                from dataclasses import replace

                rest = {k: v for k, v in current.document["locations"].items() if k != str(location)}
                revision = in_force.next_revision(connection, current.business)
                document = {**current.document, "locations": rest}
                in_force.put_in_force(
                    connection, replace(current, document=document, revision=revision, at=clock.now())
                )
        audit_rows.append(
            connection,
            {
                "operation": "forget",
                "who": settings.actor,
                "slug": slug,
                "business": location or (current.business if current is not None else 0),
                "objects": [{"kind": it.kind, "business": it.business, "group_id": it.group_id} for it in mine],
            },
            at=clock.now(),
        )
    common.say(f"forgotten: {slug}" + (f" location {location}" if location is not None else ""))
    return 0


@click.group()
def lock() -> None:
    """Who holds the lock, and releasing it."""


@lock.command("list")
@output_option("text", "json")
@common
def lock_list(outputs: Outputs, common: Common) -> int:
    """Every lock that is held."""
    _, opened = _open(common, write=False)
    with opened as store:
        found = () if store.empty else leases.list_leases(store)

    def render(form: str) -> str:
        if form == "json":
            rows = [
                {
                    "id": it.lease_id,
                    "name": it.name,
                    "operation": it.holder.operation,
                    "who": it.holder.who,
                    "host": it.host,
                    "pid": it.pid,
                    "run_url": it.holder.run_url,
                    "commit": it.holder.commit,
                    "age_seconds": round(it.age_seconds, 1),
                    "expired": it.expired,
                }
                for it in found
            ]
            return json.dumps({"format_version": "1.0", "kind": "locks", "locks": rows}, indent=2) + "\n"
        return "".join(f"{it.lease_id}  {it.name}  {it}\n" for it in found) or "no lock is held\n"

    outputs.write(render)
    return 0


@lock.command("release")
@click.argument("lease_id", metavar="ID")
@common
def lock_release(lease_id: str, common: Common) -> int:
    """Release a lock whose holder is dead, by its exact id."""
    settings, opened = _open(common, write=True)
    with opened as store:
        info = leases.force_release(store, lease_id)
        with store.begin() as connection:
            entry = {"operation": "lock release", "who": settings.actor, "reason": f"held by {info.holder.who}"}
            audit_rows.append(connection, entry, at=store.now())
    common.say(f"released: {info}")
    return 0


@click.group()
def store() -> None:
    """Migrate, copy, check, rekey the store."""


@store.command()
@common
def migrate(common: Common) -> int:
    """Bring the store to this version's schema."""
    _, opened = _open(common, write=True)
    with opened as it:
        common.say(f"the store {it.shown} is up to date")
    return 0


@store.command()
@common
def check(common: Common) -> int:
    """Integrity, key, audit chain, open intents, receipts."""
    settings, opened = _open(common, write=False)
    with opened as it:
        if it.empty:
            click.echo("there is no store yet")
            return 0
        given: dict[Any, keys.GivenKey] = {"receipt": session.receipt_key(settings, it)}
        problems = maintenance.check(it, given)
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo("the store is whole")
    return 1 if problems else 0


@store.command()
@click.argument("target")
@common
def copy(target: str, common: Common) -> int:
    """Copy everything into another, empty store (sqlite:///FILE or postgresql://…)."""
    _, opened = _open(common, write=False)
    with opened as source, open_store(target, now=Clock().now, write=True) as to:
        if source.empty:
            raise StoreError("there is no store yet, so there is nothing to copy")
        counts = maintenance.copy(source, to)
    for table, count in sorted(counts.items()):
        click.echo(f"{table}: {count}")
    return 0


@store.command()
@click.argument("name", type=click.Choice(["receipt", "ledger"]), default="receipt")
@click.option(
    "--new-key-from", metavar="VARIABLE", help="The variable that holds the new key, where no key file is used."
)
@common
def rekey(name: Any, new_key_from: str | None, common: Common) -> int:
    """Wrap the inner keys by a new key, and seal the ledger's payloads anew; fingerprints and pseudonyms stay."""
    settings, opened = _open(common, write=True)
    with opened as main, _ledger(settings, main) if name == "ledger" else nullcontext(main) as it:
        given = settings.receipt_key if name == "receipt" else settings.ledger_key
        path = session.sqlite_path(settings.store if name == "receipt" else settings.ledger_store)
        sealed: int | None = None
        if given is None and path is not None:
            file = keys.key_file(path, name)
            if name == "ledger":
                sealed = ledger_keys.rotate_file(it, file)
            else:
                keys.rekey_file(it, name, file)
        else:
            if given is None or new_key_from is None:
                raise UsageError(
                    "the old key comes from its variable, the new one from --new-key-from VARIABLE",
                    hint=f"export RECONCILER_NEW_KEY=…; reconciler store rekey {name} --new-key-from RECONCILER_NEW_KEY",
                )
            new = keys.parse_key(settings.secrets.variable(new_key_from), named=new_key_from)
            old = keys.parse_key(given.reveal(), named=f"RECONCILER_{name.upper()}_KEY")
            if name == "ledger":
                sealed = ledger_keys.rotate(it, old, new)
            else:
                with it.begin() as connection:
                    keys.rekey(connection, name, old, new, store=it)
        with main.begin() as connection:
            audit_rows.append(connection, {"operation": f"rekey {name}", "who": settings.actor}, at=main.now())
    words = f"the {name} key was changed" + ("" if sealed is None else f", {sealed} payloads were sealed anew")
    common.say(words + ("" if given is None else "; from now on export the new one"))
    return 0


def _ledger(settings: Any, main: Store) -> AbstractContextManager[Store]:
    """The ledger's store, which may be the main one."""
    if settings.ledger_store == settings.store:
        return nullcontext(main)
    return open_store(settings.ledger_store, now=Clock().now, write=True)


@click.group()
def audit() -> None:
    """The audit chain."""


@audit.command()
@click.option(
    "--expect-head", metavar="SEQ:HASH", help="A head that was kept elsewhere: shows a cut or rewritten chain."
)
@output_option("text", "json")
@common
def verify(expect_head: str | None, outputs: Outputs, common: Common) -> int:
    """Check every record against the one before it."""
    expected = audit_rows.parse_head(expect_head) if expect_head else None
    _, opened = _open(common, write=False)
    with opened as it:
        if it.empty:
            click.echo("there is no store yet")
            return 0
        with it.read() as connection:
            found = audit_rows.verify(connection, expect=expected)
    outputs.write(
        lambda form: (
            json.dumps(
                {
                    "format_version": "1.0",
                    "kind": "audit",
                    "records": found.count,
                    "head": str(found.head),
                    "problem": found.problem,
                    "seq": found.seq,
                },
                indent=2,
            )
            + "\n"
            if form == "json"
            else f"{found.problem} (record {found.seq})\n"
            if found.problem
            else f"{found.count} records, whole; head {found.head}\n"
        )
    )
    return 1 if found.problem else 0
