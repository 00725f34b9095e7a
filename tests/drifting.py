"""Drift and import runs for tests: the harness of ``tests.reconciling`` with what these two need beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.clients.integrations import IntegrationsClient
from reconciler.core.acceptances import Acceptance
from reconciler.core.drift import Report
from reconciler.workflow import drifting
from tests.reconciling import Reconciler


@dataclass
class Drifter:
    """Runs drift as a process would, with a wait that a test can use to change the world."""

    it: Reconciler
    waits: list[float] = field(default_factory=list)
    between: Callable[[], None] = lambda: None
    acceptances: tuple[Acceptance, ...] = ()

    def run(self, *, confirm_after: float = 5.0) -> Report:
        with self.it.inputs() as inputs:
            client = inputs.client
            assert isinstance(client, IntegrationsClient)

            def sleep(seconds: float) -> None:
                self.waits.append(seconds)
                self.between()

            options = drifting.Options(
                sleep=sleep,
                list_practitioners=lambda reference, plus: frozenset(
                    one.id for one in client.practitioners(self.it.reveal(reference), new_version=plus)
                ),
                acceptances=self.acceptances,
                confirm_after=confirm_after,
                remember=drifting.remembering(self.it.store_url, inputs.store),
            )
            return drifting.detect(inputs, options)


def kinds(report: Report) -> list[tuple[str, str, str, str]]:
    """(slug, object, path, class) of every finding."""
    return [(one.slug, it.object, it.path, it.kind) for one in report.businesses for it in one.findings]
