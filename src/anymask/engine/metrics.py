"""What a monitor scrapes: the numbers of a project in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from anymask.engine.status import Status


def metrics_text(status: Status) -> str:
    """One gauge for each kind of number, with labels for states."""
    registry = CollectorRegistry()
    _gauge(registry, "images", "Images by state.", ["state"], {(k,): v for k, v in status.images.items()})
    tasks: dict[tuple[str, ...], int] = {
        (kind, state): n for kind, states in status.tasks.items() for state, n in states.items()
    }
    _gauge(registry, "tasks", "Tasks by kind and state.", ["kind", "state"], tasks)
    _gauge(registry, "jobs", "Jobs by state.", ["state"], {(k,): v for k, v in status.jobs.items()})
    _gauge(registry, "rounds", "Rounds by outcome.", ["state"], _by_state(status))
    return generate_latest(registry).decode()


def _by_state(status: Status) -> dict[tuple[str, ...], int]:
    states = [one.state for one in status.rounds]
    return {(state,): states.count(state) for state in sorted(set(states))}


def _gauge(
    registry: CollectorRegistry, name: str, text: str, labels: list[str], values: dict[tuple[str, ...], int]
) -> None:
    gauge = Gauge(f"anymask_{name}", text, labels, registry=registry)
    for label, value in values.items():
        gauge.labels(*label).set(value)
