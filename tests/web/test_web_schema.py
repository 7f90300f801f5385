"""Whatever is sent, by the schema or against it: no route breaks (schemathesis)."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from studio_client import API, HOST, make_project, open_studio

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("ANYMASK_SCHEMA_EXAMPLES", "65"))  # of each operation and mode: 5,000 requests
ENDLESS = ("/api/v1/events",)
KNOWN = {401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 400}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    with make_project(tmp_path_factory.mktemp("schema"), photos=3) as project, open_studio(project) as found:
        found[0].rates.take = lambda *_: 0.0
        yield found


def operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path not in ENDLESS:
            yield operation


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_no_request_breaks_the_server(studio: tuple[Any, Any], mode: Any) -> None:
    _, client = studio
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    codes: Counter[int] = Counter()
    for operation in operations(schema):
        cases = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=cases)
        def send(case: Any) -> None:
            answer = _send(client, case)
            codes[answer.status_code] += 1
            assert answer.status_code < 500, (case.method, answer.url, answer.text[:500])
            if answer.status_code >= 400:
                assert answer.status_code in KNOWN and set(answer.json()) == {"error"}, answer.text[:300]

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request without fields
            send()
    print(f"{mode.name}: {sum(codes.values())} requests, {dict(sorted(codes.items()))}")
    assert sum(codes.values()) >= 36 * EXAMPLES, codes
    assert codes[200] + codes[202] + codes[204] > 0


def _send(client: Any, case: Any) -> Any:
    sent = case.as_transport_kwargs(base_url=HOST)
    headers = {
        name: value
        for name, value in dict(sent.pop("headers")).items()
        if name.lower() not in ("user-agent", "authorization", "cookie")
    }
    known = {name: sent[name] for name in ("json", "data", "files", "params") if sent.get(name) is not None}
    if isinstance(known.get("data"), bytes | str):
        known["content"] = known.pop("data")
    return client.request(sent["method"], sent["url"], headers=headers, **known)


def test_the_schema_names_every_route(studio: tuple[Any, Any]) -> None:
    paths = studio[1].get("/api/openapi.json").json()["paths"]
    assert all(path.startswith(API) for path in paths) and len(paths) > 30
