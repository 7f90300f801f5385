// What others, or the same person in another window, do to the photo meanwhile: taken in, and ours put on top.

import { masksOf } from "../api/client";
import type { Op, PhotoInfo, StoredMask } from "../api/types";
import { t } from "../i18n/index.svelte";
import { maskFromRuns } from "../masks/rle";
import { app } from "./app.svelte";
import type { Holding } from "./holding.svelte";
import type { Masks } from "./masks.svelte";
import type { Again } from "./queue";

export class Others {
  private closed = false;
  private owes = false; // masks of a page before this one arrived, and are not shown yet

  constructor(
    private readonly image: PhotoInfo,
    private readonly holding: Holding,
    private readonly masks: Masks,
  ) {
    app.onStale.set(image.id, (revision, stored, operations) => this.stale(revision, stored, operations));
    app.onReopened.set(image.id, (work) => {
      holding.lease = work.lease;
      if (work.masks) masks.merge(work.masks, []);
    });
    app.onSaved.set(image.id, (mine) => {
      this.owes ||= !mine;
      if (this.owes && app.saving.waiting === 0) void this.load(true);
    });
    app.onLost.set(image.id, (error) => {
      if (error.code === "lease_lost") holding.readOnly = true;
      void this.load(true); // what could not be saved is not shown as if it were
    });
    app.onImage.add(this.told);
  }

  close(): void {
    this.closed = true;
    app.onStale.delete(this.image.id);
    app.onReopened.delete(this.image.id);
    app.onSaved.delete(this.image.id);
    app.onLost.delete(this.image.id);
    app.onImage.delete(this.told);
  }

  /** All masks as the server has them. `again`: unless something of ours is on its way, which merges them. */
  async load(again = false): Promise<void> {
    const { width, height } = this.image;
    const { revision, masks } = await masksOf(this.image.id, this.holding.layer);
    if (this.closed || (again && app.saving.waiting > 0)) return;
    this.owes = false;
    app.queue.opened(this.image.id, revision);
    this.masks.document.load(masks.map((one) => ({ facts: one, mask: maskFromRuns(one.runs, width, height) })));
    this.masks.refresh();
  }

  private told = (id: number, revision: number, by: string, layer: number): void => {
    if (id !== this.image.id || layer !== this.holding.layer || revision <= app.queue.revisionOf(id) || app.saving.waiting > 0) return;
    if (by !== app.session?.user?.name) app.tell(t("others.changed", { by }));
    void this.load(true);
  };

  /** Somebody else saved first: their masks come in, ours go on top where they still make sense. */
  private stale(revision: number, stored: readonly StoredMask[], operations: readonly Op[]): Again | null {
    const there = new Set(stored.map((one) => one.uid));
    this.masks.merge(stored, operations.flatMap(uidsOf));
    // What was drawn on a mask that is gone becomes a mask of its own.
    const apply = operations.map((one): Op => (one.op === "replace" && !there.has(one.uid) ? { op: "add", mask: one.mask } : one));
    if (!apply.flatMap(uidsOf).every((uid) => there.has(uid))) return null;
    app.tell(t(apply.some((one, i) => one !== operations[i]) ? "draft.alone" : "others.merged"));
    return { revision, operations: apply };
  }
}

function uidsOf(operation: Op): string[] {
  if (operation.op === "merge") return [...operation.uids];
  return "uid" in operation && operation.op !== "restore" ? [operation.uid] : [];
}
