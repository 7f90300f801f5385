// The accepted masks of the photo: chosen, hidden, locked, changed, and how they look.

import type { Op, PhotoInfo, StoredMask } from "../api/types";
import { newUid } from "../api/client";
import { CALM, colourOf } from "../canvas/colours";
import type { Colour, Painted } from "../canvas/raster";
import type { Stage } from "../canvas/stage";
import { t } from "../i18n/index.svelte";
import { partsOf } from "../masks/bits";
import { type Box, type Mask, union } from "../masks/rle";
import { app } from "./app.svelte";
import type { Authorship } from "./authorship.svelte";
import { colourIn } from "./classes";
import { type Change, type Item, MaskDocument, fromStored, originOf, rleOf } from "./document";
import type { Holding } from "./holding.svelte";

const MOST_PARTS = 20;
const MOST_FLASHES = 20;

export class Masks {
  items = $state.raw<readonly Item[]>([]);
  selected = $state.raw<ReadonlySet<string>>(new Set());
  hidden = $state.raw<ReadonlySet<string>>(new Set());
  locked = $state.raw<ReadonlySet<string>>(new Set());
  allHidden = $state(false);
  hovered = $state<string | null>(null);
  canUndo = $state(false);
  canRedo = $state(false);
  /** The one that is drawn on: not painted, its drawing is. */
  editing: Item | null = null;
  /** A mask that is no item but under the pointer. */
  maskUnder: (key: string | null) => Mask | undefined = () => undefined;

  readonly document: MaskDocument;
  private sorted: readonly Item[] | null = null;

  constructor(
    image: PhotoInfo,
    readonly holding: Holding,
    private readonly stage: Stage,
    private readonly author: Authorship,
  ) {
    this.document = new MaskDocument(image.width, image.height);
  }

  // ---- how they look

  painted(region: Box): Painted[] {
    const found: Painted[] = [];
    this.sorted ??= [...this.document.items].sort((a, b) => b.area - a.area);
    const { hidden, editing } = this;
    for (const item of this.sorted) {
      const { box } = item.mask; // compared in place: thousands of masks for each tile
      if (box.x0 >= region.x1 || box.y0 >= region.y1 || box.x1 <= region.x0 || box.y1 <= region.y0) continue;
      if (hidden.has(item.key) || item === editing) continue;
      found.push({ mask: item.mask, colour: this.colour(item), fill: isCalm(item) ? 110 : 170 });
    }
    return found;
  }

  colour(item: Item): Colour {
    if (isCalm(item)) return CALM;
    return colourIn(app.project?.settings.classes ?? [], item.category) ?? colourOf(item.category ?? originOf(item));
  }

  showFocus(): void {
    const over = this.document.item(this.hovered)?.mask ?? this.maskUnder(this.hovered);
    const chosen = this.chosen().filter((one) => one !== this.editing);
    this.stage.focus(over ?? null, chosen.slice(0, 40).map((one) => one.mask));
  }

  refresh(): void {
    this.sorted = null;
    this.items = this.document.items;
    this.canUndo = this.document.canUndo;
    this.canRedo = this.document.canRedo;
    if ([...this.selected].some((key) => !this.document.item(key))) {
      this.selected = new Set([...this.selected].filter((key) => this.document.item(key)));
    }
    this.showFocus();
    this.stage.touchAll();
  }

  // ---- changes: shown at once, kept in the browser, sent

  commit(change: Change | null): void {
    if (!change) return;
    if (change.operations.length) this.holding.save(change.operations); // first: it travels while the page is drawn
    this.sorted = null;
    this.items = this.document.items;
    this.canUndo = this.document.canUndo;
    this.canRedo = this.document.canRedo;
    const gone = change.step.removes.filter((item) => this.selected.has(item.key) && !this.document.item(item.key));
    if (gone.length) this.selected = new Set([...this.selected].filter((key) => this.document.item(key)));
    if (this.hovered && !this.document.item(this.hovered)) this.hovered = null;
    this.showFocus();
    this.stage.touch(change.box);
  }

  /** Takes in masks that are not here; what is here stays, it may be on its way. `except`: what we just changed. */
  merge(masks: readonly StoredMask[], except: readonly string[]): void {
    const mine = this.document.items.map((item) => ({ facts: { ...item, uid: this.document.uidOf(item.key) }, mask: item.mask }));
    const known = new Set([...mine.map(({ facts }) => facts.uid), ...except]);
    this.document.load([...mine, ...masks.filter((one) => !known.has(one.uid)).map(fromStored)]);
    this.refresh();
  }

  undo(): void {
    this.again(this.document.undo());
  }

  redo(): void {
    this.again(this.document.redo());
  }

  private again(change: Change | null): void {
    this.commit(change);
    this.count("say.now");
    if (change) this.stage.flash([...change.step.removes, ...change.step.adds].slice(0, MOST_FLASHES).map((item) => item.mask));
  }

  /** Says how many there are. */
  count(word: "say.accepted" | "say.deleted" | "say.now"): void {
    const n = this.items.length;
    app.say(() => t(word, { n }));
  }

  /** What the list calls it. */
  nameOf(item: Item): string {
    return item.category ?? t("masks.unnamed", { n: this.items.indexOf(item) + 1 });
  }

  private chosen(keys: Iterable<string> = this.selected): Item[] {
    return [...keys].map((key) => this.document.item(key)).filter((item): item is Item => item !== undefined);
  }

  remove(keys: Iterable<string> = this.selected): void {
    const items = this.chosen(keys).filter((item) => !this.locked.has(item.key));
    if (!items.length || this.holding.readOnly) return;
    const operations = items.map((item): Op => ({ op: "delete", uid: this.document.uidOf(item.key) }));
    this.commit(this.document.add("delete", [], operations, items));
    this.count("say.deleted");
  }

  label(category: string | null, keys: Iterable<string> = this.selected): void {
    const items = this.chosen(keys).filter((item) => item.category !== category);
    if (!items.length || this.holding.readOnly) return;
    this.replaceEach(items, "label", (item, uid) => ({ op: "label", uid: this.document.uidOf(item.key), new_uid: uid, category }), { category });
  }

  /** Masks of a model become mine. */
  confirm(keys: Iterable<string> = this.selected): void {
    const items = this.chosen(keys).filter(isCalm);
    if (!items.length || this.holding.readOnly) return;
    const operation = (item: Item, uid: string): Op => ({ op: "accept", uid: this.document.uidOf(item.key), new_uid: uid });
    this.replaceEach(items, "accept", operation, { stage: "semi", verdict: "right" });
  }

  private replaceEach(items: readonly Item[], name: string, operation: (item: Item, uid: string) => Op, facts: Partial<Item>): void {
    const operations: Op[] = [];
    const adds = items.map((item) => {
      const uid = newUid();
      operations.push(operation(item, uid));
      return { ...item, ...facts, key: uid, uid, origin: originOf(item) };
    });
    const again = items.map((item) => this.selected.has(item.key));
    this.commit(this.document.add(name, adds, operations, items));
    this.select(adds.filter((_, i) => again[i]).map((item) => item.key));
  }

  unite(): void {
    const items = this.chosen();
    if (items.length < 2 || this.holding.readOnly) return;
    const mask = union(items.map((item) => item.mask));
    const uid = newUid();
    const category = items[0]!.category;
    const operation: Op = { op: "merge", uids: items.map((item) => this.document.uidOf(item.key)), new_uid: uid, category };
    const item: Item = { ...items[0]!, key: uid, uid, origin: originOf(items[0]!), mask, area: mask.area, stage: this.author.stage };
    this.commit(this.document.add("merge", [item], [operation], items));
    this.select([uid]);
  }

  split(): void {
    const [item] = this.chosen();
    if (!item || this.selected.size !== 1 || this.holding.readOnly) return;
    const parts = partsOf(item.mask);
    if (parts.length < 2) return app.tell(t("split.one"));
    const kept = parts.length > MOST_PARTS ? [...parts.slice(0, MOST_PARTS - 1), union(parts.slice(MOST_PARTS - 1))] : parts;
    const adds = kept.map((mask): Item => {
      const uid = newUid();
      return { ...item, key: uid, uid, origin: null, mask, area: mask.area, stage: this.author.stage };
    });
    const operation: Op = {
      op: "split",
      uid: this.document.uidOf(item.key),
      new_uids: adds.map((one) => one.uid),
      parts: kept.map(rleOf),
    };
    this.commit(this.document.add("split", adds, [operation], [item]));
    this.select(adds.map((one) => one.key));
  }

  // ---- what is chosen, hidden, locked

  select(keys: readonly string[]): void {
    this.selected = new Set(keys);
    this.showFocus();
  }

  toggle(key: string): void {
    this.select([...flipped(this.selected, [key])]);
  }

  hide(keys: Iterable<string> = this.selected): void {
    this.hidden = flipped(this.hidden, keys);
    this.sorted = null;
    for (const item of this.chosen(keys)) this.stage.touch(item.mask.box);
  }

  lock(keys: Iterable<string> = this.selected): void {
    this.locked = flipped(this.locked, keys);
  }

  hideAll(hidden: boolean): void {
    this.allHidden = this.stage.bare = hidden;
    this.stage.drawAnew();
  }

  /** The mask under a place of the photo. */
  at(x: number, y: number): Item | undefined {
    return this.document.at(x, y).find((item) => !this.hidden.has(item.key) && !this.locked.has(item.key));
  }

  over(key: string | null): void {
    if (key === this.hovered) return;
    this.hovered = key;
    this.showFocus();
  }

  /** The only selected one, when it may be drawn on. */
  get editable(): Item | undefined {
    const [only] = this.selected.size === 1 ? this.chosen() : [];
    return only && !this.locked.has(only.key) ? only : undefined;
  }

  /** Begins to draw on a mask, or ends it; gives the one that was drawn on before. */
  edit(item: Item | null): Item | null {
    const before = this.editing;
    this.editing = item;
    if (item) {
      this.stage.touch(item.mask.box);
      this.showFocus();
    }
    return before;
  }

  // ---- those of a model that nobody has looked at

  get calm(): readonly Item[] {
    return this.items.filter(isCalm);
  }

  /** To the next mask that a model is least sure of. */
  nextCalm(): void {
    const calm = [...this.calm].sort((a, b) => (a.probability ?? 1) - (b.probability ?? 1));
    if (!calm.length) return;
    const at = calm.findIndex((item) => this.selected.has(item.key));
    this.select([calm[(at + 1) % calm.length]!.key]);
  }
}

/** Put there by a model and not looked at by anybody. */
export function isCalm(item: Item): boolean {
  return (item.stage === "prefilled" || item.stage === "automatic") && item.verdict !== "right";
}

function flipped(set: ReadonlySet<string>, keys: Iterable<string>): ReadonlySet<string> {
  const result = new Set(set);
  for (const key of keys) if (!result.delete(key)) result.add(key);
  return result;
}
