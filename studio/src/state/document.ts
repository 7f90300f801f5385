// The masks of one photo as the page knows them, and every change to them: done, undone, done again.
// A change is a step that takes items away and puts items in; the server gets the same as operations.

import type { MaskFacts, Op, Rle, StoredMask, NewMask } from "../api/types";
import { newUid } from "../api/client";
import { HitIndex } from "../masks/hit";
import { type Box, type Mask, NO_BOX, alike, around, countsOf, maskFromCounts } from "../masks/rle";

const TWIN = 0.95; // IoU of two masks of what is surely one thing

export interface Item extends MaskFacts {
  /** Names this content in the page. The server's uid changes when something deleted comes back. */
  readonly key: string;
  readonly mask: Mask;
}

export interface Step {
  readonly name: string;
  readonly removes: readonly Item[];
  readonly adds: readonly Item[];
}

export interface Change {
  readonly box: Box;
  readonly operations: readonly Op[];
  readonly step: Step;
}

export class MaskDocument {
  private readonly byKey = new Map<string, Item>();
  private readonly uids = new Map<string, string>();
  private readonly places = new Map<string, number>();
  private readonly index = new HitIndex<string>();
  private past: Step[] = [];
  private future: Step[] = [];

  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  /** An edited one stays in the place of the one it was. */
  get items(): readonly Item[] {
    const place = (item: Item): number => this.places.get(originOf(item))!;
    return [...this.byKey.values()].sort((a, b) => place(a) - place(b));
  }

  get size(): number {
    return this.byKey.size;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  item(key: string | null): Item | undefined {
    return key === null ? undefined : this.byKey.get(key);
  }

  uidOf(key: string): string {
    return this.uids.get(key)!;
  }

  /** Items that hold a pixel, smallest first. */
  at(x: number, y: number): Item[] {
    return this.index.at(x, y).map((key) => this.byKey.get(key)!);
  }

  /** One of the same class that is nearly the same. */
  twin(mask: Mask, category: string | null): Item | undefined {
    for (const item of this.byKey.values()) if (item.category === category && alike(item.mask, mask, TWIN)) return item;
    return undefined;
  }

  /** What the server has; leaves the past alone where it can still be undone. */
  load(masks: readonly { facts: MaskFacts; mask: Mask }[]): void {
    const known = new Map([...this.uids].map(([key, uid]) => [uid, key]));
    const there = new Set(masks.map(({ facts }) => facts.uid));
    for (const item of this.items) if (!there.has(this.uidOf(item.key))) this.take(item);
    for (const { facts, mask } of masks) {
      const key = known.get(facts.uid);
      if (key && this.byKey.has(key)) continue;
      this.put({ ...facts, mask, key: key ?? facts.uid }, facts.uid);
    }
  }

  add(name: string, adds: readonly Item[], operations: readonly Op[], removes: readonly Item[] = []): Change {
    const step = { name, adds, removes };
    for (const item of removes) this.take(item);
    for (const item of adds) this.put(item, item.uid);
    this.past.push(step);
    this.future = [];
    return { step, operations, box: boxOf(step) };
  }

  undo(): Change | null {
    const step = this.past.pop();
    if (!step) return null;
    this.future.push(step);
    return this.swap({ name: step.name, removes: step.adds, adds: step.removes });
  }

  redo(): Change | null {
    const step = this.future.pop();
    if (!step) return null;
    this.past.push(step);
    return this.swap(step);
  }

  /** Takes away what was put in and brings back what was deleted: under new uids, as the server never reuses one. */
  private swap(step: Step): Change {
    const operations: Op[] = [];
    for (const item of step.removes) {
      if (!this.byKey.has(item.key)) continue; // somebody else took it meanwhile
      operations.push({ op: "delete", uid: this.uidOf(item.key) });
      this.take(item);
    }
    for (const item of step.adds) {
      if (this.byKey.has(item.key)) continue;
      const uid = newUid();
      operations.push({ op: "restore", uid: this.uidOf(item.key), new_uid: uid });
      this.put(item, uid);
    }
    return { step, operations, box: boxOf(step) };
  }

  private put(item: Item, uid: string): void {
    this.byKey.set(item.key, item);
    this.uids.set(item.key, uid);
    const origin = originOf(item);
    if (!this.places.has(origin)) this.places.set(origin, this.places.size);
    this.index.add(item.key, item.mask);
  }

  private take(item: Item): void {
    this.byKey.delete(item.key);
    this.index.remove(item.key);
  }
}

/** The same for a mask and all its edits. */
export function originOf(item: MaskFacts): string {
  return item.origin ?? item.uid;
}

export function boxOf(step: Step): Box {
  return [...step.adds, ...step.removes].reduce((box, item) => around(box, item.mask.box), NO_BOX);
}

export function rleOf(mask: Mask): Rle {
  return { size: [mask.height, mask.width], counts: countsOf(mask) };
}

export function fromStored(stored: StoredMask): { facts: MaskFacts; mask: Mask } {
  const [height, width] = stored.rle.size;
  return { facts: stored, mask: maskFromCounts(stored.rle.counts, width, height) };
}

/** An item of the page for a mask that is sent to the server; `edited`: the one it is an edit of. */
export function itemOf(fresh: NewMask, mask: Mask, stage: MaskFacts["stage"], author: string, edited: Item | null = null): Item {
  return {
    key: fresh.uid,
    uid: fresh.uid,
    mask,
    area: mask.area,
    category: fresh.category,
    author,
    stage,
    round: 0,
    model: fresh.model ?? null,
    probability: fresh.probability ?? null,
    seconds: fresh.seconds ?? null,
    parent: edited && edited.uid,
    origin: edited && originOf(edited),
    verdict: null,
  };
}
