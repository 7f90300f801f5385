// Saves that wait for the server: kept in the browser's database, sent in order, each exactly once.

import { ApiError, newUid, post } from "../api/client";
import type { Op, Saved, StoredMask } from "../api/types";
import { mark } from "../marks";

export interface Waiting {
  readonly id?: number;
  readonly image: number;
  readonly layer: number;
  readonly key: string;
  /** The revision it was first sent on; null until then. Kept, so that sending again means the same. */
  readonly base: number | null;
  readonly lease: { readonly task: number; readonly token: number } | null;
  readonly operations: readonly Op[];
}

export type Sending = "idle" | "saving" | "offline";

/** Operations to be sent again, and the revision they are for. */
export interface Again {
  readonly revision: number;
  readonly operations: readonly Op[];
}

export interface Outcome {
  /** `mine`: it was put in by this page, not by one before or beside it. */
  saved: (image: number, mine: boolean) => void;
  /** Somebody else changed the photo; gives what to send again, or null when it no longer applies. */
  stale: (image: number, revision: number, masks: readonly StoredMask[], operations: readonly Op[]) => Again | null;
  /** The lease went elsewhere: one to send it again with, or null when somebody else has the photo now. */
  reopen: (waiting: Waiting) => Promise<{ lease: Waiting["lease"]; revision: number } | null>;
  lost: (image: number, error: ApiError) => void;
  state: (state: Sending, waiting: number) => void;
}

const STORE = "actions";

function database(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** `durability`: strict is on the disk when it is done; it takes its time. */
function run<T>(
  db: IDBDatabase,
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
  durability: IDBTransactionDurability = "strict",
): Promise<T> {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(STORE, mode, { durability });
    const request = act(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

export class SaveQueue {
  private db: Promise<IDBDatabase>;
  private readonly revisions = new Map<number, number>();
  /** Actions that the server has not got, as far as this page knows. */
  private known = 0;
  /** Those of them that are on their way to the browser's disk. */
  private adding = 0;
  private readonly mine = new Set<number>(); // by their ids
  private sending: Promise<void> | null = null;
  private paused = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wait = 500;

  constructor(
    private readonly outcome: Outcome,
    name = "anymask",
  ) {
    this.db = database(name);
  }

  /** The revision of a photo that the server told when it was opened. */
  opened(image: number, revision: number): void {
    this.revisions.set(image, revision);
  }

  revisionOf(image: number): number {
    return this.revisions.get(image) ?? 0;
  }

  async pending(image?: number): Promise<Waiting[]> {
    const all = await run(await this.db, "readonly", (store) => store.getAll() as IDBRequest<Waiting[]>);
    return image === undefined ? all : all.filter((one) => one.image === image);
  }

  /** Keeps an action here and starts sending; it is safe in the browser when this resolves. */
  async put(action: Omit<Waiting, "id" | "key" | "base">): Promise<void> {
    mark("kept");
    const first = this.known === 0;
    const base = first ? (this.revisions.get(action.image) ?? null) : null; // else what is before it decides
    const waiting: Waiting = { ...action, key: newUid(), base };
    this.outcome.state("saving", (this.known += 1));
    this.adding += 1;
    const kept = this.db
      .then((db) => run(db, "readwrite", (store) => store.add(waiting) as IDBRequest<number>))
      .then((id) => (this.mine.add(id), id))
      .finally(() => (this.adding -= 1));
    const beside = first && base !== null && !this.sending && !this.paused;
    if (beside) this.sending = this.sendBeside(waiting, kept);
    await kept;
    if (!beside) void this.flush();
  }

  /** The only action goes to the server while the browser's disk still writes. */
  private async sendBeside(waiting: Waiting, kept: Promise<number>): Promise<void> {
    try {
      if (!(await this.attempt(waiting, kept))) return this.later(this.known);
    } finally {
      this.sending = null;
    }
    await this.flush(); // what came meanwhile, and what another page left
  }

  /** Sends what waits, oldest first, until nothing does or the server cannot be reached; done when that is done. */
  flush(): Promise<void> {
    if (this.paused) return Promise.resolve();
    return (this.sending ??= this.send());
  }

  private async send(): Promise<void> {
    clearTimeout(this.timer);
    try {
      for (;;) {
        const all = await this.pending();
        const [first] = all;
        this.known = all.length + this.adding;
        if (!first && this.adding) continue;
        if (!first) return this.outcome.state("idle", 0);
        this.outcome.state("saving", this.known);
        if (!(await this.sendOne(first))) return this.later(this.known);
      }
    } finally {
      this.sending = null;
    }
  }

  private later(waiting: number): void {
    this.outcome.state("offline", waiting);
    this.timer = setTimeout(() => void this.flush(), this.wait);
    this.wait = Math.min(8000, this.wait * 2);
  }

  /** Signed out: nothing is sent until `resume`. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    void this.flush();
  }

  /** True when the action is settled, false when it has to wait. */
  private async sendOne(waiting: Waiting): Promise<boolean> {
    const base = waiting.base ?? this.revisions.get(waiting.image) ?? null;
    if (base !== null && waiting.base === null) await this.rewrite({ ...waiting, base });
    return this.attempt({ ...waiting, base }, Promise.resolve(waiting.id!));
  }

  /** `kept`: its id, once the browser has it on its disk. */
  private async attempt(waiting: Waiting, kept: Promise<number>): Promise<boolean> {
    try {
      const { revision } = await this.post(waiting);
      this.revisions.set(waiting.image, revision);
      this.wait = 500;
      this.over();
      mark("saved");
      await this.settle({ ...waiting, id: await kept }, revision);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.failed({ ...waiting, id: await kept }, error);
    }
  }

  private post({ image, key, base, lease, operations }: Waiting): Promise<Saved> {
    const headers = { "Idempotency-Key": key, "If-Match": `"${base ?? 0}"` };
    return post<Saved>(`/images/${image}/actions`, { lease, operations }, { headers });
  }

  private async failed(waiting: Waiting, error: ApiError): Promise<boolean> {
    if (error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500) return false;
    if (error.code === "stale") {
      const { revision, masks } = error.fault.detail as unknown as { revision: number; masks: StoredMask[] };
      const again = this.outcome.stale(waiting.image, revision, masks ?? [], waiting.operations);
      this.revisions.set(waiting.image, revision);
      if (again) {
        await this.rewrite({ ...waiting, key: newUid(), base: again.revision, operations: again.operations });
        return true;
      }
    }
    if (error.code === "lease_lost" && waiting.lease) {
      const again = await this.outcome.reopen(waiting);
      if (again) {
        this.revisions.set(waiting.image, again.revision);
        await this.rewrite({ ...waiting, key: newUid(), base: again.revision, lease: again.lease });
        return true;
      }
    }
    // The server keeps a branch of what it could not apply; the person is told.
    this.over();
    await run(await this.db, "readwrite", (store) => store.delete(waiting.id!));
    this.outcome.lost(waiting.image, error);
    return true;
  }

  /** One action less waits. */
  private over(): void {
    if ((this.known -= 1) === 0) this.outcome.state("idle", 0);
  }

  private async settle(waiting: Waiting, revision: number): Promise<void> {
    this.revisions.set(waiting.image, revision);
    // Should this be lost in a power cut, it is sent again, and the server knows its key.
    await run(await this.db, "readwrite", (store) => store.delete(waiting.id!), "relaxed");
    this.outcome.saved(waiting.image, this.mine.delete(waiting.id!));
  }

  private async rewrite(waiting: Waiting): Promise<void> {
    await run(await this.db, "readwrite", (store) => store.put(waiting));
  }
}
