"""``GET /v1/schools``, ``/v1/boxes`` and ``/v1/targets``: who is there and what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from filterd.monitor.access.directory import Directory
from filterd.monitor.metrics.boxstatus import BoxStatus
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.web.models import (
    BoxCounts,
    BoxesPage,
    SchoolsPage,
    ShownBox,
    ShownSchool,
    TargetGroup,
    Titles,
)
from filterd.monitor.web.paging import bad, page_of, values_of

SCHOOL_PARAMETERS = ("region", "district", "limit", "cursor")
BOX_PARAMETERS = ("school", "state", "limit", "cursor")
STATES = ("reporting", "silent", "never")
_ANY = frozenset({"0.0.0.0", "::", ""})


def schools_page(
    directory: Directory, boxes: Sequence[BoxStatus], query: Sequence[tuple[str, str]], page: int, now: float
) -> SchoolsPage:
    """Return a page of schools.

    Raises:
        Problem: 400 for a wrong parameter.
    """
    values = values_of(query, SCHOOL_PARAMETERS)
    counts: dict[str, dict[str, int]] = {}
    for box in boxes:
        states = counts.setdefault(box.school, {})
        states[box.state] = states.get(box.state, 0) + 1
    found = [
        (school.id, school)
        for school in map(directory.school, sorted(directory.school_ids(now)))
        if values.get("region", school.region) == school.region
        and values.get("district", school.district) == school.district
    ]
    shown, following = page_of(found, values, page)
    return SchoolsPage(
        schools=[
            ShownSchool(
                school=school.id,
                titles=Titles(**school.titles),
                region=school.region,
                district=school.district,
                devices=school.devices,
                operator_service="yes"
                if school.operator_service == "yes"
                else "no"
                if school.operator_service == "no"
                else "",
                operator_since=school.operator_since,
                responsible=school.responsible,
                boxes=BoxCounts(**counts.get(school.id, {})),
            )
            for school in shown
        ],
        next=following,
    )


def boxes_page(boxes: Sequence[BoxStatus], query: Sequence[tuple[str, str]], page: int) -> BoxesPage:
    """Return a page of boxes.

    Raises:
        Problem: 400 for a wrong parameter.
    """
    values = values_of(query, BOX_PARAMETERS)
    if values.get("state", "silent") not in STATES:
        raise bad("state is not one", f"write {', '.join(STATES)}")
    found = [
        (f"{box.school}\n{box.box}", box)  # a line feed sorts before all that an id may hold
        for box in boxes
        if values.get("school", box.school) == box.school and values.get("state", box.state) == box.state
    ]
    shown, following = page_of(found, values, page)
    return BoxesPage(boxes=[ShownBox.of(box) for box in shown], next=following)


def targets(directory: Directory, settings: MonitorSettings, asked_as: str, now: float) -> list[TargetGroup]:
    """Return what Prometheus is to scrape: this monitor, which speaks for its boxes, and the others it knows.

    This monitor's metrics name the school themselves, so its target bears the label only when it is one
    school's; region and district as far as all its schools share them.

    Args:
        directory: of this monitor.
        settings: public name and other monitors.
        asked_as: host and port of the request, for want of a public name.
        now: UTC seconds.
    """
    schools = [directory.school(school) for school in directory.school_ids(now)]
    labels = {
        name: values.pop()
        for name, values in (
            ("school", {school.id for school in schools}),
            ("region", {school.region for school in schools}),
            ("district", {school.district for school in schools}),
        )
        if len(values) == 1 and values != {""}
    }
    host, port = settings.listen[0]
    own = settings.public or (asked_as if host in _ANY or not port else _address(host, port))
    others = [TargetGroup(targets=[one.address], labels=dict(one.labels)) for one in settings.targets]
    return [TargetGroup(targets=[own], labels=labels), *others]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def text_of(groups: Sequence[TargetGroup]) -> str:
    """Return targets as JSON text: a bare list, as Prometheus wants it."""
    return json.dumps([group.model_dump() for group in groups], ensure_ascii=False)
