"""Nextech Select (STU3), emulated at ``/nextech-api/api``: reads, and the documented changes to appointments."""

from __future__ import annotations

from typing import Final

from reconciler.sandbox import emr_fhir, emr_service, emr_writes
from reconciler.sandbox.emr_world import EmrWorld
from reconciler.sandbox.http import Request, Response

PREFIX: Final = "/nextech-api/api"

PRODUCT: Final = emr_service.Product(
    name="select",
    prefix=PREFIX,
    appointment=emr_fhir.appointment,
    patient=lambda number, chart, world: emr_fhir.patient(chart.person(number), world.options),
    location=emr_fhir.location,
    practitioner=lambda provider, place, world: emr_fhir.practitioner(provider, place, world.options),
    code=emr_fhir.code_entry,
    code_lists=("appointment-type", "appointment-purpose", "appointment-status", "patient-type"),
    chart_numbers=True,
    write=emr_writes.select,
)


def handle(request: Request, world: EmrWorld) -> Response:
    """Answer a request; its path begins with ``PREFIX``."""
    return emr_service.serve(request, world, PRODUCT)
