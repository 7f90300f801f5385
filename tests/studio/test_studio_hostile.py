"""In a real browser: what people and files are called is text, and pages of others can do nothing."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Dialog, expect
from studio_browser import Visit

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on

SCREENS = ("gallery", "dashboard", "data", "jobs", "settings", "audit")
PAYLOADS = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1>",
    "\"><iframe srcdoc='<script>parent.hit=1</script>'>",
    "javascript:window.hit=1//",
    "{{constructor.constructor('window.hit=1')()}}",
    "${window.hit=1}",
    "<a href=javascript:window.hit=1 id=x>x</a><form><button formaction=javascript:window.hit=1>",
    "'-window.hit=1-'",
    "<math><mtext><table><mglyph><style><!--</style><img src onerror=window.hit=1>",
    "\u202e<b onmouseover=window.hit=1>\u2066",
)


@pytest.fixture
def hostile(tmp_path: Path, examples: Path) -> Iterator[StudioServer]:
    """A studio whose photo has the name of an attack."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(examples / "cat.jpg", folder / "<img src=x onerror=window.hit=1>.jpg")
    with running_on(folder) as studio:
        yield studio


def send(visit: Visit, method: str, path: str, body: Any, **headers: str) -> Any:
    """A request with the cookie of the page."""
    answer = visit.page.request.fetch(
        f"{visit.studio.address}/api/v1{path}",
        method=method,
        data=json.dumps(body),
        headers={"Origin": visit.studio.address, "Content-Type": "application/json", **headers},
    )
    assert answer.ok, (path, answer.text())
    return answer.json() if answer.text() else None


def test_names_and_notes_are_text(hostile: StudioServer, context: BrowserContext) -> None:
    """Advisories of others: CVE-2023-47115, 2024-26152, 2025-25296, 2025-47783, 2026-22033, 2026-65986."""
    visit = Visit(context.new_page(), hostile)
    dialogs: list[Dialog] = []
    visit.page.on("dialog", lambda one: (dialogs.append(one), one.dismiss()))
    visit.open_link()
    classes = [{"name": one[:100], "color": "#ff0000"} for one in PAYLOADS]
    send(visit, "PATCH", "/project/settings", {"classes": classes, "notes": "\n".join(PAYLOADS)})
    work = send(visit, "POST", "/images/1/open", {})
    held = {"task": work["lease"]["task"], "token": work["lease"]["token"]}
    size = [work["image"]["height"], work["image"]["width"]]
    pixels = size[0] * size[1]
    for number, name in enumerate(PAYLOADS):
        counts = [1_000 * number, 500, pixels - 1_000 * number - 500]
        mask = {
            "uid": f"m{number}",
            "rle": {"size": size, "counts": compressed(counts)},
            "category": name[:100],
        }
        body = {"lease": held, "operations": [{"op": "add", "mask": mask}]}
        send(
            visit,
            "POST",
            "/images/1/actions",
            body,
            **{"Idempotency-Key": f"k{number}", "If-Match": str(number)},
        )
    name = "<img src=x onerror=window.hit=1>.json"
    visit.go("data")
    visit.page.locator("input[type=file]").last.set_input_files(
        {"name": name, "mimeType": "application/json", "buffer": PAYLOADS[0].encode()}
    )
    for screen in (*SCREENS, "annotate/1"):
        visit.go(screen)
        visit.page.wait_for_timeout(700)
        assert visit.page.evaluate("window.hit") is None, screen
        assert visit.page.locator("main script, main iframe, main a[href^=javascript]").count() == 0
    visit.page.keyboard.press("/")
    visit.page.wait_for_timeout(300)
    expect(visit.page.get_by_text(PAYLOADS[0]).first).to_be_visible()
    assert visit.page.evaluate("window.hit") is None
    assert dialogs == [] and visit.complaints == []


def compressed(counts: list[int]) -> str:
    from anymask.core.mask import Mask

    size = sum(counts)
    return str(Mask.from_rle({"size": [size, 1], "counts": counts}).rle["counts"])


EVIL = """<!doctype html><title>evil</title><body><form id=f method=post enctype=text/plain></form><script>
window.done = (async () => {
  const told = [];
  const types = ["text/plain", "application/json", "multipart/form-data"];
  for (const [method, path] of %s) for (const type of types)
    for (const mode of ["no-cors", "cors"]) {
      try {
        const answer = await fetch("%s" + path, {method, mode, credentials: "include", body: "{}",
                                                 headers: {"Content-Type": type}});
        told.push([path, mode, answer.type, answer.status]);
      } catch (error) { told.push([path, mode, "refused", 0]); }
    }
  return told;
})();
</script>"""


@pytest.fixture
def evil(running: StudioServer) -> Iterator[str]:
    """A page of another port of this machine: the same site, so the browser does send the cookie."""
    routes = [
        ("POST", "/images/1/open"), ("POST", "/tasks/next"), ("POST", "/jobs/prefill"),
        ("POST", "/jobs/train"), ("POST", "/jobs/export"), ("POST", "/jobs/import"), ("POST", "/images"),
        ("PATCH", "/project/settings"), ("POST", "/models/start/promote"), ("DELETE", "/session"),
        ("POST", "/invitations"), ("POST", "/tokens"),
    ]  # fmt: skip
    content = (EVIL % (json.dumps(routes), f"{running.address}/api/v1")).encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_of_another_origin_can_do_nothing(visit: Visit, context: BrowserContext, evil: str) -> None:
    """With the cookie of somebody who is signed in: neither changes anything nor reads an answer."""
    url = f"{visit.studio.address}/api/v1"
    look = ("/project", "/jobs", "/log?limit=500", "/models")
    before = [visit.page.request.get(url + path).json() for path in look]
    page = context.new_page()
    page.goto(evil)
    told = page.evaluate("window.done")
    assert len(told) == 12 * 3 * 2
    assert {(kind, status) for _, _, kind, status in told} <= {("refused", 0), ("opaque", 0)}
    assert [visit.page.request.get(url + path).json() for path in look] == before
    framed = context.new_page()
    framed.goto(evil)
    framed.evaluate(f"document.body.innerHTML = '<iframe src=\"{visit.studio.address}/\"></iframe>'")
    framed.wait_for_timeout(500)
    frame = framed.frames[-1]
    assert frame.url.startswith("chrome-error:") or frame.locator("nav").count() == 0
