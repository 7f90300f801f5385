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
  private owes = false; // the masks that are shown are not those of the server
  private latest = 0; // the newest revision that the server told of

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
      void this.catchUp();
    });
    app.onLost.set(image.id, (error) => {
      if (error.code === "lease_lost") holding.lost(error);
      this.owes = true;
      void this.catchUp();
    });
    app.onImage.add(this.told);
    app.onIdle.add(this.catchUp);
  }

  close(): void {
    this.closed = true;
    app.onStale.delete(this.image.id);
    app.onReopened.delete(this.image.id);
    app.onSaved.delete(this.image.id);
    app.onLost.delete(this.image.id);
    app.onImage.delete(this.told);
    app.onIdle.delete(this.catchUp);
  }

  /** The masks of `revision` are shown; what a page before this one had waiting may have arrived since. */
  opened(revision: number): void {
    this.latest = Math.max(this.latest, app.queue.revisionOf(this.image.id));
    app.queue.opened(this.image.id, revision);
    void this.catchUp();
  }

  /** All masks as the server has them. */
  async load(): Promise<void> {
    this.show(await masksOf(this.image.id, this.holding.layer));
  }

  private show({ revision, masks }: Awaited<ReturnType<typeof masksOf>>): void {
    if (this.closed) return;
    const { width, height } = this.image;
    this.masks.document.load(masks.map((one) => ({ facts: one, mask: maskFromRuns(one.runs, width, height) })));
    this.masks.refresh();
    this.opened(revision);
  }

  /** Takes in what is missing here, once nothing of ours is on its way: with that it would be merged. */
  private catchUp = async (): Promise<void> => {
    const behind = this.owes || this.latest > app.queue.revisionOf(this.image.id);
    if (!behind || this.closed || app.saving.waiting > 0) return;
    [this.owes, this.latest] = [false, 0];
    try {
      const found = await masksOf(this.image.id, this.holding.layer);
      if (app.saving.waiting > 0) this.owes = true;
      else this.show(found);
    } catch (error) {
      this.owes = true;
      app.fail(error);
    }
  };

  private told = (id: number, revision: number, by: string, layer: number): void => {
    if (id !== this.image.id || layer !== this.holding.layer || revision <= app.queue.revisionOf(id)) return;
    this.latest = Math.max(this.latest, revision);
    if (app.saving.waiting > 0) return; // it may be what is being saved
    if (by !== app.session?.user?.name) app.tell(t("others.changed", { by }));
    void this.catchUp();
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
