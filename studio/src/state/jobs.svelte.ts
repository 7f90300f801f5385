// Training, imports, exports: what the server told of each last.

import { get } from "../api/client";
import type { Job } from "../api/types";

/** Whether it waits or runs. */
export function unfinished(job: Job): boolean {
  return job.state === "queued" || job.state === "running";
}

export class Jobs {
  list = $state.raw<readonly Job[]>([]);
  /** Of each request that is on its way: the jobs that an event told of since. */
  private readonly asking = new Set<Set<Job["id"]>>();

  /** An event: nothing is newer. */
  told(job: Job): void {
    for (const since of this.asking) since.add(job.id);
    this.put([job]);
  }

  /** What a request says of a job may be older than an event that came before its answer. */
  async answered<T extends Job | readonly Job[]>(request: Promise<T>): Promise<T> {
    const since = new Set<Job["id"]>();
    this.asking.add(since);
    try {
      const answer = await request;
      this.put(([answer].flat() as Job[]).filter((job) => !since.has(job.id)));
      return answer;
    } finally {
      this.asking.delete(since);
    }
  }

  async load(): Promise<void> {
    await this.answered(get<{ jobs: Job[] }>("/jobs?limit=100").then(({ jobs }) => jobs));
  }

  /** How it is now. */
  now(job: Job): Job {
    return this.list.find((one) => one.id === job.id) ?? job;
  }

  private put(jobs: readonly Job[]): void {
    const fresh = new Set(jobs.map((job) => job.id));
    this.list = [...jobs, ...this.list.filter((one) => !fresh.has(one.id))].sort((a, b) => b.created - a.created);
  }
}
