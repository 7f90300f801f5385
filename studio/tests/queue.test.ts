import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SaveQueue, type Sending } from "../src/state/queue";

interface Call {
  readonly path: string;
  readonly key: string;
  readonly base: string;
  readonly uid: string;
}

let calls: Call[] = [];
let answers: ((call: Call) => Response | Error)[] = [];
let revision = 5;
let names = 0;

const saved = (): Response => Response.json({ revision: ++revision, masks: 1, repeated: false });
const refused = (status: number, code: string, detail: unknown = null): Response =>
  Response.json({ error: { code, message: code, detail } }, { status });

beforeEach(() => {
  calls = [];
  answers = [];
  revision = 5;
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    const body = JSON.parse(init.body as string) as { operations: { uid: string }[] };
    const call = { path, key: headers["Idempotency-Key"]!, base: headers["If-Match"]!, uid: body.operations[0]!.uid };
    calls.push(call);
    const answer = (answers.shift() ?? saved)(call);
    if (answer instanceof Error) throw answer;
    return answer;
  });
});
afterEach(() => vi.unstubAllGlobals());

function queue(more: Partial<ConstructorParameters<typeof SaveQueue>[0]> = {}): { queue: SaveQueue; states: [Sending, number][]; name: string } {
  const states: [Sending, number][] = [];
  const name = `test${++names}`;
  const made = new SaveQueue({ saved: () => {}, stale: () => null, reopen: async () => null, lost: () => {}, state: (state, n) => states.push([state, n]), ...more }, name);
  made.opened(1, 5);
  return { queue: made, states, name };
}
const put = (to: SaveQueue, uid: string): Promise<void> =>
  to.put({ image: 1, layer: 0, lease: null, operations: [{ op: "delete", uid }] });
const settled = (of: SaveQueue): Promise<void> => vi.waitFor(async () => expect(await of.pending()).toHaveLength(0));

describe("saves", () => {
  it("go out in their order, each on the revision that the one before gave", async () => {
    const { queue: q } = queue();
    for (const uid of ["a", "b", "c"]) await put(q, uid);
    await settled(q);
    expect(calls.map((call) => [call.uid, call.base])).toEqual([["a", '"5"'], ["b", '"6"'], ["c", '"7"']]);
    expect(new Set(calls.map((call) => call.key)).size).toBe(3);
  });

  it("go out while the browser's disk still writes, and are told as saved when the server has them", async () => {
    const { queue: q, states } = queue();
    let onDisk = false;
    let sentBefore = false;
    answers = [() => ((sentBefore = !onDisk), saved())];
    await put(q, "a").then(() => (onDisk = true));
    await settled(q);
    expect(sentBefore).toBe(true);
    expect(calls).toHaveLength(1);
    expect(states.slice(0, 2)).toEqual([["saving", 1], ["idle", 0]]);
  });

  it("that come in quick succession, the first without an answer, all arrive once and in order", async () => {
    const { queue: q } = queue();
    answers = [() => new TypeError("no network")];
    await Promise.all(["a", "b", "c"].map((uid) => put(q, uid)));
    await q.flush();
    await settled(q);
    expect(calls.map((call) => call.uid)).toEqual(["a", "a", "b", "c"]);
    expect(calls[0]!.key).toBe(calls[1]!.key);
  });

  it("wait while the server is away, and are sent again with the same key when it is back", async () => {
    const { queue: q, states } = queue();
    answers = [() => new TypeError("no network")];
    await put(q, "a");
    await vi.waitFor(() => expect(states.at(-1)).toEqual(["offline", 1]));
    await put(q, "b");
    await q.flush();
    await settled(q);
    const firsts = calls.filter((call) => call.uid === "a");
    expect(firsts.length).toBeGreaterThan(1);
    expect(new Set(firsts.map((call) => call.key + call.base)).size).toBe(1);
    expect(calls.at(-1)!.uid).toBe("b");
  });

  it("are all with the server when sending is waited for, also while one is on its way", async () => {
    const { queue: q } = queue();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const plain = globalThis.fetch;
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      await held;
      return plain(path, init);
    });
    await put(q, "a");
    const done = q.flush();
    await put(q, "b");
    setTimeout(release, 20);
    await done;
    expect(calls.map((call) => call.uid)).toEqual(["a", "b"]);
    expect(await q.pending()).toHaveLength(0);
  });

  it("survive a page that was closed", async () => {
    const first = queue();
    first.queue.pause();
    await put(first.queue, "a");
    const again = new SaveQueue({ saved: () => {}, stale: () => null, reopen: async () => null, lost: () => {}, state: () => {} }, first.name);
    expect(await again.pending()).toHaveLength(1);
    again.opened(1, 5);
    await again.flush();
    await settled(again);
    expect(calls).toHaveLength(1);
  });

  it("of a page before this one are told as such, so that this one shows them", async () => {
    const first = queue();
    first.queue.pause();
    await put(first.queue, "a");
    const mine: boolean[] = [];
    const again = new SaveQueue({ saved: (_image, own) => mine.push(own), stale: () => null, reopen: async () => null, lost: () => {}, state: () => {} }, first.name);
    again.opened(1, 5);
    await put(again, "b");
    await again.flush();
    await settled(again);
    expect(mine.toSorted()).toEqual([false, true]);
  });

  it("that cannot be applied wait no longer when that is told", async () => {
    const told: unknown[] = [];
    const { queue: q, states } = queue({ lost: () => told.push(states.at(-1)) });
    answers = [() => refused(409, "stale", { revision: 9, masks: [] })];
    await put(q, "a");
    await settled(q);
    expect(told).toEqual([["idle", 0]]);
  });

  it("on a photo that somebody changed are sent again on theirs, with a new key", async () => {
    const { queue: q } = queue({ stale: (_image, now, _masks, operations) => ({ revision: now, operations }) });
    answers = [() => refused(409, "stale", { revision: 9, masks: [] })];
    await put(q, "a");
    await settled(q);
    expect(calls.map((call) => call.base)).toEqual(['"5"', '"9"']);
    expect(calls[0]!.key).not.toBe(calls[1]!.key);
  });

  it("are sent again as what they mean on theirs", async () => {
    const { queue: q } = queue({ stale: (_image, now) => ({ revision: now, operations: [{ op: "delete", uid: "b" }] }) });
    answers = [() => refused(409, "stale", { revision: 9, masks: [] })];
    await put(q, "a");
    await settled(q);
    expect(calls.map((call) => call.uid)).toEqual(["a", "b"]);
  });

  it("that no longer apply are told and do not hold up the next", async () => {
    const lost: string[] = [];
    const { queue: q } = queue({ lost: (_, error) => lost.push(error.code) });
    answers = [() => refused(409, "lease_lost")];
    await put(q, "a");
    await put(q, "b");
    await settled(q);
    expect(lost).toEqual(["lease_lost"]);
    expect(calls.at(-1)!.uid).toBe("b");
  });

  it("whose lease ran out are sent again when the photo can be had again", async () => {
    const { queue: q } = queue({ reopen: async () => ({ lease: { task: 3, token: 8 }, revision: 7 }) });
    answers = [() => refused(409, "lease_lost")];
    await q.put({ image: 1, layer: 0, lease: { task: 3, token: 7 }, operations: [{ op: "delete", uid: "a" }] });
    await settled(q);
    expect(calls.map((call) => call.base)).toEqual(['"5"', '"7"']);
    expect(calls[0]!.key).not.toBe(calls[1]!.key);
  });

  it("wait for somebody who has to sign in again", async () => {
    const { queue: q } = queue();
    answers = [() => refused(401, "signed_out")];
    await put(q, "a");
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    q.pause();
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(await q.pending()).toHaveLength(1);
    q.resume();
    await settled(q);
  });
});
