import { describe, expect, it, vi } from "vitest";
import type { Job } from "../src/api/types";
import { Jobs } from "../src/state/jobs.svelte";

function job(id: number, state: Job["state"], created = id): Job {
  return { id, kind: "import", state, done: 0, total: 1, message: null, created, finished: null, result: null };
}

/** A request whose answer is given later. */
function asked<T>(): { request: Promise<T>; answer: (value: T) => void; fail: (why: Error) => void } {
  let answer!: (value: T) => void;
  let fail!: (why: Error) => void;
  const request = new Promise<T>((yes, no) => ([answer, fail] = [yes, no]));
  return { request, answer, fail };
}

const states = (jobs: Jobs): [Job["id"], Job["state"]][] => jobs.list.map((one) => [one.id, one.state]);

describe("what is known of jobs", () => {
  it("the end of a job that was told before the answer to its beginning stays", async () => {
    const jobs = new Jobs();
    const post = asked<Job>();
    const done = jobs.answered(post.request);
    jobs.told(job(1, "failed"));
    post.answer(job(1, "queued"));
    expect((await done).id).toBe(1);
    expect(states(jobs)).toEqual([[1, "failed"]]);
  });

  it("a list that was read before an event does not take it back, and brings the others", async () => {
    const jobs = new Jobs();
    const list = asked<readonly Job[]>();
    const loaded = jobs.answered(list.request);
    jobs.told(job(2, "done"));
    list.answer([job(3, "queued"), job(2, "running"), job(1, "done")]);
    await loaded;
    expect(states(jobs)).toEqual([[3, "queued"], [2, "done"], [1, "done"]]);
  });

  it("a list that was asked for after an event is the newer one: a job went back into the queue", async () => {
    const jobs = new Jobs();
    jobs.told(job(1, "running"));
    await jobs.answered(Promise.resolve([job(1, "queued")]));
    expect(jobs.now(job(1, "running")).state).toBe("queued");
  });

  it("a request that fails leaves them as they were", async () => {
    const jobs = new Jobs();
    jobs.told(job(1, "running"));
    await expect(jobs.answered(Promise.reject(new Error("offline")))).rejects.toThrow("offline");
    expect(states(jobs)).toEqual([[1, "running"]]);
  });

  it("load asks the server for the newest hundred", async () => {
    const paths: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => (paths.push(path), Response.json({ jobs: [job(1, "done")] })));
    const jobs = new Jobs();
    await jobs.load();
    vi.unstubAllGlobals();
    expect(paths).toEqual(["/api/v1/jobs?limit=100"]);
    expect(states(jobs)).toEqual([[1, "done"]]);
  });
});
