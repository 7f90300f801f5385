// One photo on the screen with everything that is done to it. Tools call this; components show it.

import { ApiError, get, lines, masksOf, newUid, picture, post, urls } from "../api/client";
import type { EverythingLine, Lease, NewMask, Op, PhotoInfo, StoredMask, WordsAnswer, Work } from "../api/types";
import { CALM, LIVE, colourOf, parseColour } from "../canvas/colours";
import { Photo } from "../canvas/photo";
import type { Colour, Painted } from "../canvas/raster";
import type { Stage } from "../canvas/stage";
import { t, percent, number } from "../i18n/index.svelte";
import { partsOf } from "../masks/bits";
import { type Box, type Mask, contains, intersect, iou, isEmpty, maskFromCounts, maskFromRuns, union } from "../masks/rle";
import { ActiveTime } from "./active-time";
import { app } from "./app.svelte";
import { type Change, type Item, MaskDocument, fromStored, itemOf, rleOf } from "./document";
import { Drafting } from "./drafting.svelte";
import { Hover } from "./hover";
import { prefs } from "./prefs.svelte";
import { Prompting } from "./prompting.svelte";

export type Tool = "click" | "box" | "brush" | "eraser" | "lasso" | "select" | "pan";

export interface Proposal {
  readonly id: string;
  readonly mask: Mask;
  readonly probability: number;
}

const client = newUid();

export class Workspace {
  tool = $state<Tool>("click");
  category = $state<string | null>(null);
  items = $state.raw<readonly Item[]>([]);
  selected = $state.raw<ReadonlySet<string>>(new Set());
  hidden = $state.raw<ReadonlySet<string>>(new Set());
  locked = $state.raw<ReadonlySet<string>>(new Set());
  allHidden = $state(false);
  hovered = $state<string | null>(null);
  canUndo = $state(false);
  canRedo = $state(false);
  notReady = $state(false);
  accepting = $state(false);
  readOnly = $state(false);
  scale = $state(1);
  /** The photo is on the screen. */
  opened = $state(false);
  proposals = $state.raw<readonly Proposal[] | null>(null);
  searching = $state.raw<{ done: number; total: number } | null>(null);
  threshold = $state(0.5);
  lease = $state.raw<Lease | null>(null);

  readonly document: MaskDocument;
  readonly prompting: Prompting;
  readonly drafting: Drafting;
  readonly time = new ActiveTime();
  readonly hover: Hover;
  private readonly stage: Stage;
  private model = "";
  private everythingRun: AbortController | null = null;
  private renewal: ReturnType<typeof setInterval> | undefined;
  private sorted: readonly Item[] | null = null;
  private editing: Item | null = null;
  private closed = false;
  private semi = false;

  constructor(
    readonly image: PhotoInfo,
    stage: Stage,
  ) {
    this.stage = stage;
    this.document = new MaskDocument(image.width, image.height);
    this.prompting = new Prompting(image, client);
    this.drafting = new Drafting(image.width, image.height);
    this.hover = new Hover(
      image.id,
      client,
      (preview) => {
        if (!this.prompting.live && !this.drafting.live) stage.showPreview(preview, LIVE);
      },
      (notReady) => (this.notReady = notReady),
    );
    this.prompting.changed = () => this.showLive();
    this.prompting.failed = (error) => app.fail(error);
    app.onStale.set(image.id, (revision, masks, operations) => this.merged(revision, masks, operations));
    app.onReopened.set(image.id, (work) => {
      this.lease = work.lease;
      if (work.masks) this.merge(work.masks, []);
    });
    app.onLost.set(image.id, (error) => {
      if (error.code === "lease_lost") this.readOnly = true;
      void this.reloadMasks(); // what could not be saved is not shown as if it were
    });
    app.onImage.add(this.others);
  }

  // ---- opening and leaving

  async open(work: Work | null, display: Promise<ImageBitmap>): Promise<void> {
    const [bitmap] = await Promise.all([display, this.loadMasks(work)]);
    if (this.closed) return;
    this.showPhoto(bitmap);
    this.refresh();
    this.opened = true;
    if (work) this.renewal = setInterval(() => void this.renew(), 60_000);
  }

  private async loadMasks(work: Work | null): Promise<void> {
    this.lease = work?.lease ?? null;
    this.readOnly = work === null;
    this.semi = work ? work.stage !== "manual" : false;
    const layer = work?.lease.layer ?? 0;
    if (work?.masks) {
      app.queue.opened(this.image.id, work.revision);
      this.document.load(work.masks.map(fromStored));
      return;
    }
    const { revision, masks } = await masksOf(this.image.id, layer);
    app.queue.opened(this.image.id, revision);
    const { width, height } = this.image;
    this.document.load(masks.map((one) => ({ facts: one, mask: maskFromRuns(one.runs, width, height) })));
  }

  private showPhoto(bitmap: ImageBitmap): void {
    const { id, hash, width, height, tiles } = this.image;
    const load = (level: number, x: number, y: number): Promise<ImageBitmap> => picture(urls.tile(id, hash, level, x, y));
    const photo = new Photo(width, height, bitmap, tiles?.levels ?? [], load, () => this.stage.redraw("base"));
    this.stage.open(photo, (region) => this.painted(region));
    this.stage.opacity = prefs.opacity;
    this.scale = this.stage.view.scale;
    let finer = bitmap.width < width && !tiles;
    this.stage.moved = () => {
      this.scale = this.stage.view.scale;
      if (!finer || this.scale * (window.devicePixelRatio || 1) * width < bitmap.width * 1.15) return;
      finer = false;
      void picture(urls.photo(id, hash, "full")).then((full) => {
        photo.show(full);
        this.stage.touch({ x0: 0, y0: 0, x1: 0, y1: 0 });
      });
    };
  }

  close(): void {
    this.closed = true;
    clearInterval(this.renewal);
    this.everythingRun?.abort();
    this.prompting.cancel();
    this.hover.close();
    app.onStale.delete(this.image.id);
    app.onReopened.delete(this.image.id);
    app.onLost.delete(this.image.id);
    app.onImage.delete(this.others);
    this.stage.clear();
  }

  private async renew(): Promise<void> {
    if (!this.lease) return;
    try {
      this.lease = await post<Lease>(`/tasks/${this.lease.task}/renew`, { token: this.lease.token });
    } catch (error) {
      if (error instanceof ApiError && error.code === "lease_lost") {
        this.readOnly = true;
        app.tell(t("lease.lost"), "error");
      }
    }
  }

  private others = (id: number, revision: number, by: string): void => {
    if (id !== this.image.id || revision <= app.queue.revisionOf(id) || app.saving.waiting > 0) return;
    if (by !== app.session?.user?.name) app.tell(t("others.changed", { by }));
    void this.reloadMasks();
  };

  /** What others, or this person in another window, did to the photo. */
  private async reloadMasks(): Promise<void> {
    const { width, height } = this.image;
    const { revision, masks } = await masksOf(this.image.id, this.lease?.layer ?? 0);
    if (app.saving.waiting > 0 || this.closed) return; // ours is on its way: it is merged when it arrives
    app.queue.opened(this.image.id, revision);
    this.document.load(masks.map((one) => ({ facts: one, mask: maskFromRuns(one.runs, width, height) })));
    this.refresh();
  }

  // ---- what is painted

  private painted(region: Box): Painted[] {
    if (this.allHidden) return [];
    const found: Painted[] = [];
    this.sorted ??= [...this.document.items].sort((a, b) => b.area - a.area);
    for (const item of this.sorted) {
      if (this.hidden.has(item.key) || item === this.editing || isEmpty(intersect(item.mask.box, region))) continue;
      found.push({ mask: item.mask, colour: this.colour(item), fill: prefs.outlines ? 0 : isCalm(item) ? 110 : 170 });
    }
    for (const one of this.offered) {
      if (!isEmpty(intersect(one.mask.box, region))) found.push({ mask: one.mask, colour: CALM, fill: prefs.outlines ? 0 : 120 });
    }
    return found;
  }

  colour(item: Item): Colour {
    if (isCalm(item)) return CALM;
    const known = app.project?.settings.classes.find((one) => one.name === item.category);
    return (known && parseColour(known.color)) || colourOf(item.category ?? item.key);
  }

  /** The masks found everywhere that the slider leaves. */
  get offered(): readonly Proposal[] {
    return (this.proposals ?? []).filter((one) => one.probability >= this.threshold);
  }

  private liveColour(): Colour {
    const known = app.project?.settings.classes.find((one) => one.name === this.category);
    return (known && parseColour(known.color)) || LIVE;
  }

  showLive(): void {
    const { current, turn, candidates, chosen } = this.prompting;
    if (this.drafting.live) this.stage.showMask(this.drafting.mask, this.liveColour());
    else if (current) this.stage.showMask(current.mask, this.liveColour());
    else if (!this.prompting.live) this.stage.showMask(null);
    this.stage.setLive({ marks: turn.marks, box: turn.box });
    if (current && !this.drafting.live) {
      app.say(
        t("say.candidate", {
          n: chosen + 1,
          of: candidates.length,
          p: percent(current.probability),
          px: number(current.mask.area),
        }),
      );
    }
  }

  refresh(): void {
    this.sorted = null;
    this.items = this.document.items;
    this.canUndo = this.document.canUndo;
    this.canRedo = this.document.canRedo;
    const there = new Set(this.items.map((one) => one.key));
    if ([...this.selected].some((key) => !there.has(key))) {
      this.selected = new Set([...this.selected].filter((key) => there.has(key)));
    }
    this.showFocus();
    this.stage.touchAll();
  }

  showFocus(): void {
    const over = this.document.item(this.hovered)?.mask ?? this.proposals?.find((one) => one.id === this.hovered)?.mask;
    const chosen = [...this.selected].map((key) => this.document.item(key)).filter((one) => one && one !== this.editing);
    this.stage.focus(over ?? null, chosen.slice(0, 40).map((one) => one!.mask));
  }

  // ---- changes: shown at once, kept in the browser, sent

  private commit(change: Change | null): void {
    if (!change) return;
    this.sorted = null;
    this.refreshLists(change);
    if (change.operations.length) this.save(change.operations);
  }

  private refreshLists(change: Change): void {
    this.items = this.document.items;
    this.canUndo = this.document.canUndo;
    this.canRedo = this.document.canRedo;
    const gone = change.step.removes.filter((item) => this.selected.has(item.key) && !this.document.item(item.key));
    if (gone.length) this.selected = new Set([...this.selected].filter((key) => this.document.item(key)));
    if (this.hovered && !this.document.item(this.hovered)) this.hovered = null;
    this.showFocus();
    this.stage.touch(change.box);
  }

  private save(operations: readonly Op[]): void {
    const lease = this.lease ? { task: this.lease.task, token: this.lease.token } : null;
    void app.queue.put({ image: this.image.id, layer: this.lease?.layer ?? 0, lease, operations });
  }

  /** Somebody else saved first: their masks come in, ours go on top where they still make sense. */
  private merged(revision: number, masks: readonly StoredMask[], operations: readonly Op[]): number | null {
    const there = new Set(masks.map((one) => one.uid));
    const needed = operations.flatMap(uidsOf);
    this.merge(masks, needed);
    if (!needed.every((uid) => there.has(uid))) return null;
    app.tell(t("others.merged"));
    return revision;
  }

  /** Takes in masks that are not here; what is here stays, it may be on its way. `except`: what we just changed. */
  private merge(masks: readonly StoredMask[], except: readonly string[]): void {
    const mine = this.document.items.map((item) => ({ facts: { ...item, uid: this.document.uidOf(item.key) }, mask: item.mask }));
    const known = new Set([...mine.map(({ facts }) => facts.uid), ...except]);
    this.document.load([...mine, ...masks.filter((one) => !known.has(one.uid)).map(fromStored)]);
    this.refresh();
  }

  undo(): void {
    if (this.drafting.live) {
      if (!this.drafting.back()) this.cancel();
      else this.showLive();
    } else if (this.prompting.live) this.prompting.back();
    else this.commit(this.document.undo());
  }

  redo(): void {
    if (!this.drafting.live && !this.prompting.live) this.commit(this.document.redo());
  }

  // ---- prompts and drafts

  /** Whether something is being made that Enter would accept. */
  get making(): boolean {
    return this.prompting.live || this.drafting.live;
  }

  click(x: number, y: number, label: 0 | 1): void {
    if (this.readOnly) return app.tell(t("readonly"));
    const draft = this.drafting.mask;
    if (draft) {
      this.drafting.cancel();
      this.prompting.cancel();
      this.prompting.drawn(draft);
    }
    this.prompting.click({ x, y }, label);
  }

  box(box: Box): void {
    if (this.readOnly) return app.tell(t("readonly"));
    this.drafting.cancel();
    this.prompting.drag(box);
  }

  /** Makes what is there a drawing: the candidate, the one selected mask, or nothing. */
  startDraft(): void {
    if (this.drafting.live) return;
    const one = this.selected.size === 1 ? this.document.item([...this.selected][0]!) : undefined;
    const editable = one && !this.locked.has(one.key) ? one : undefined;
    const mask = this.prompting.current?.mask ?? editable?.mask ?? null;
    if (!this.prompting.current && editable) {
      this.editing = editable;
      this.sorted = null;
      this.stage.touch(editable.mask.box);
      this.showFocus();
    }
    this.prompting.cancel();
    this.drafting.begin(mask);
  }

  cancel(): void {
    const edited = this.editing;
    this.editing = null;
    this.drafting.cancel();
    this.prompting.cancel();
    this.stage.setLive({ lasso: [], box: null, marks: [] });
    if (edited) this.stage.touch(edited.mask.box);
    if (this.everythingRun) this.stopEverything();
    this.showLive();
    this.showFocus();
  }

  /** Keeps what is being made. Waits for the final mask when only a quick look is there. */
  async accept(): Promise<void> {
    if (this.accepting || this.readOnly) return;
    if (this.drafting.live) return this.acceptDraft();
    if (!this.prompting.live) return;
    this.accepting = true;
    try {
      const prompted = await this.prompting.accepted();
      if (!prompted) {
        if (this.prompting.live && !this.prompting.busy) app.tell(t("nothing.here"));
        return;
      }
      const { shown, prompts, offered, model } = prompted;
      this.prompting.cancel();
      this.add(shown.mask, { prompts, offered, taken: shown.id, model, probability: shown.probability });
    } finally {
      this.accepting = false;
    }
  }

  private acceptDraft(): void {
    const mask = this.drafting.mask!;
    const edited = this.editing;
    if (mask.area === 0) return edited ? (this.cancel(), this.remove([edited.key])) : this.cancel();
    this.editing = null;
    this.drafting.cancel();
    this.stage.showMask(null);
    if (!edited) return this.add(mask, {});
    const fresh = this.fresh(mask, { category: edited.category });
    const item = itemOf(fresh, mask, this.stageOfMine, this.me, edited.uid);
    const operation: Op = { op: "replace", uid: this.document.uidOf(edited.key), mask: fresh };
    this.commit(this.document.add("edit", [item], [operation], [edited]));
    this.selected = new Set([item.key]);
    this.showFocus();
  }

  private add(mask: Mask, more: Partial<NewMask>): void {
    const fresh = this.fresh(mask, more);
    const item = itemOf(fresh, mask, this.stageOfMine, this.me);
    this.commit(this.document.add("add", [item], [{ op: "add", mask: fresh }]));
    app.say(t("say.accepted", { n: this.items.length }));
  }

  private fresh(mask: Mask, more: Partial<NewMask>): NewMask {
    return {
      uid: newUid(),
      rle: rleOf(mask),
      category: this.category,
      stage: this.stageOfMine,
      seconds: this.time.takeMask(),
      ...more,
    };
  }

  private get me(): string {
    return app.session?.user?.name ?? "";
  }

  private get stageOfMine(): "manual" | "semi" {
    return this.semi ? "semi" : "manual";
  }

  // ---- masks that are there

  private chosen(keys: Iterable<string> = this.selected): Item[] {
    return [...keys].map((key) => this.document.item(key)).filter((item): item is Item => item !== undefined);
  }

  remove(keys: Iterable<string> = this.selected): void {
    const items = this.chosen(keys).filter((item) => !this.locked.has(item.key));
    if (!items.length || this.readOnly) return;
    const operations = items.map((item): Op => ({ op: "delete", uid: this.document.uidOf(item.key) }));
    this.commit(this.document.add("delete", [], operations, items));
  }

  label(category: string | null, keys: Iterable<string> = this.selected): void {
    this.category = category;
    const items = this.chosen(keys).filter((item) => item.category !== category);
    if (!items.length || this.readOnly) return this.showLive();
    this.replaceEach(items, "label", (item, uid) => ({ op: "label", uid: this.document.uidOf(item.key), new_uid: uid, category }), { category });
  }

  /** Masks of a model become mine. */
  confirm(keys: Iterable<string> = this.selected): void {
    const items = this.chosen(keys).filter(isCalm);
    if (!items.length || this.readOnly) return;
    const operation = (item: Item, uid: string): Op => ({ op: "accept", uid: this.document.uidOf(item.key), new_uid: uid });
    this.replaceEach(items, "accept", operation, { stage: "semi", verdict: "right" });
  }

  private replaceEach(items: readonly Item[], name: string, operation: (item: Item, uid: string) => Op, facts: Partial<Item>): void {
    const operations: Op[] = [];
    const adds = items.map((item) => {
      const uid = newUid();
      operations.push(operation(item, uid));
      return { ...item, ...facts, key: uid, uid };
    });
    const again = items.map((item) => this.selected.has(item.key));
    this.commit(this.document.add(name, adds, operations, items));
    this.selected = new Set(adds.filter((_, i) => again[i]).map((item) => item.key));
    this.showFocus();
  }

  unite(): void {
    const items = this.chosen();
    if (items.length < 2 || this.readOnly) return;
    const mask = union(items.map((item) => item.mask));
    const uid = newUid();
    const category = items[0]!.category;
    const operation: Op = { op: "merge", uids: items.map((item) => this.document.uidOf(item.key)), new_uid: uid, category };
    const item: Item = { ...items[0]!, key: uid, uid, mask, area: mask.area, stage: this.stageOfMine };
    this.commit(this.document.add("merge", [item], [operation], items));
    this.select([uid]);
  }

  split(): void {
    const [item] = this.chosen();
    if (!item || this.selected.size !== 1 || this.readOnly) return;
    const parts = partsOf(item.mask);
    if (parts.length < 2) return app.tell(t("split.one"));
    const kept = parts.length > 20 ? [...parts.slice(0, 19), union(parts.slice(19))] : parts;
    const adds = kept.map((mask): Item => {
      const uid = newUid();
      return { ...item, key: uid, uid, mask, area: mask.area, stage: this.stageOfMine };
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

  select(keys: readonly string[]): void {
    this.selected = new Set(keys);
    this.showFocus();
  }

  toggle(key: string): void {
    const selected = new Set(this.selected);
    if (!selected.delete(key)) selected.add(key);
    this.selected = selected;
    this.showFocus();
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
    this.allHidden = hidden;
    this.stage.touchAll();
  }

  /** The accepted mask under a place of the photo: those of a model only when asked for, they are looked through. */
  itemAt(x: number, y: number): Item | undefined {
    return this.document.at(x, y).find((item) => !this.hidden.has(item.key) && !this.locked.has(item.key));
  }

  over(key: string | null): void {
    if (key === this.hovered) return;
    this.hovered = key;
    this.showFocus();
  }

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

  // ---- everything there is

  async everything(): Promise<void> {
    if (this.readOnly) return;
    this.cancel();
    this.everythingRun?.abort();
    const run = (this.everythingRun = new AbortController());
    this.searching = { done: 0, total: 0 };
    this.threshold ||= 0.5; // words show all they found
    const body = { client, seq: Date.now() % 1e9, preset: "default", min_probability: 0.1, box: null };
    try {
      for await (const line of lines<EverythingLine>(`/images/${this.image.id}/everything`, body, run.signal)) {
        if (line.step === "progress") this.searching = { done: line.done, total: line.total };
        else if (line.step === "done") this.found(line);
        else if (line.step === "error") throw new ApiError(500, line.error);
      }
    } catch (error) {
      if (!run.signal.aborted) app.fail(error);
    } finally {
      this.searching = null;
    }
  }

  /** Every instance of what was said, to be kept or dropped as those of everything. */
  async find(text: string): Promise<void> {
    if (this.readOnly) return;
    this.cancel();
    this.everythingRun?.abort();
    const run = (this.everythingRun = new AbortController());
    this.searching = { done: 0, total: 0 };
    try {
      const body = { client, seq: Date.now() % 1e9, text };
      const answer = await post<WordsAnswer>(`/images/${this.image.id}/find`, body, { signal: run.signal });
      if (answer.not_understood.length) app.tell(t("words.ignored", { words: answer.not_understood.join(", ") }));
      if (!answer.masks.length) return app.tell(t("words.absent", { words: text }));
      this.threshold = 0;
      this.found(answer);
    } catch (error) {
      if (!run.signal.aborted) app.fail(error);
    } finally {
      this.searching = null;
    }
  }

  private found(line: Pick<WordsAnswer, "model" | "masks">): void {
    this.model = line.model;
    const { width, height } = this.image;
    const known = this.items.map((item) => item.mask);
    this.proposals = line.masks
      .map((one) => ({ id: one.id, mask: maskFromCounts(one.rle.counts, width, height), probability: one.probability }))
      .filter((one) => !known.some((mask) => alike(mask, one.mask)));
    this.stage.touchAll();
    app.say(t("say.found", { n: this.proposals.length }));
  }

  setThreshold(value: number): void {
    this.threshold = value;
    this.stage.touchAll();
  }

  proposalAt(x: number, y: number): Proposal | undefined {
    return this.offered
      .filter((one) => contains(one.mask, Math.floor(x), Math.floor(y)))
      .sort((a, b) => a.mask.area - b.mask.area)[0];
  }

  take(proposals: readonly Proposal[]): void {
    if (!proposals.length) return;
    const operations: Op[] = [];
    const adds = proposals.map((one) => {
      const fresh = this.fresh(one.mask, { probability: one.probability, model: this.model, taken: one.id });
      operations.push({ op: "add", mask: fresh });
      return itemOf(fresh, one.mask, this.stageOfMine, this.me);
    });
    this.reject(proposals);
    this.commit(this.document.add("everything", adds, operations));
    app.say(t("say.accepted", { n: this.items.length }));
  }

  reject(proposals: readonly Proposal[]): void {
    const gone = new Set(proposals.map((one) => one.id));
    this.proposals = (this.proposals ?? []).filter((one) => !gone.has(one.id));
    if (this.hovered && gone.has(this.hovered)) this.hovered = null;
    for (const one of proposals) this.stage.touch(one.mask.box);
    this.showFocus();
  }

  stopEverything(): void {
    this.everythingRun?.abort();
    this.everythingRun = null;
    this.proposals = null;
    this.searching = null;
    this.hovered = null;
    this.stage.touchAll();
  }

  // ---- the photo as a whole

  /** The masks of another photo of the same size, put into this one. */
  async copyFrom(other: PhotoInfo): Promise<void> {
    if (this.readOnly) return;
    if (other.width !== this.image.width || other.height !== this.image.height) return app.tell(t("copy.size"));
    const { masks } = await get<{ masks: StoredMask[] }>(`/images/${other.id}/masks?layer=0`);
    if (!masks.length) return app.tell(t("copy.none"));
    const operations: Op[] = [];
    const adds = masks.map((one) => {
      const fresh: NewMask = { uid: newUid(), rle: one.rle, category: one.category, stage: this.stageOfMine };
      operations.push({ op: "add", mask: fresh });
      return itemOf(fresh, fromStored(one).mask, this.stageOfMine, this.me);
    });
    this.commit(this.document.add("copy", adds, operations));
  }

  /** Waits until everything is with the server, then hands the photo in. */
  async submit(): Promise<boolean> {
    return (await this.settled()) && this.finish("submit", { seconds: this.time.takePhoto() });
  }

  /** What is being made is kept and everything is saved: a task that is over takes no more saves. */
  private async settled(): Promise<boolean> {
    if (!this.lease) return false;
    await this.accept();
    await app.queue.flush();
    if (app.saving.waiting > 0) app.tell(t("submit.waits"), "error");
    return app.saving.waiting === 0;
  }

  skip(reason: string): Promise<boolean> {
    return this.finish("skip", { reason });
  }

  async review(verdict: "accepted" | "returned", reason: string): Promise<boolean> {
    return (await this.settled()) && this.finish("review", { verdict, reason });
  }

  private async finish(how: string, body: object): Promise<boolean> {
    if (!this.lease) return false;
    try {
      await post(`/tasks/${this.lease.task}/${how}`, { token: this.lease.token, ...body });
    } catch (error) {
      app.fail(error);
      return false;
    }
    this.lease = null;
    void app.refreshPhoto(this.image.id);
    return true;
  }
}

/** Put there by a model and not looked at by anybody. */
export function isCalm(item: Item): boolean {
  return (item.stage === "prefilled" || item.stage === "automatic") && item.verdict !== "right";
}

function alike(a: Mask, b: Mask): boolean {
  const both = intersect(a.box, b.box);
  if (isEmpty(both)) return false;
  const most = Math.min(a.area, b.area) / Math.max(a.area, b.area);
  return most > 0.8 && iou(a, b) > 0.8;
}

function uidsOf(operation: Op): string[] {
  if (operation.op === "merge") return [...operation.uids];
  return "uid" in operation && operation.op !== "restore" ? [operation.uid] : [];
}

function flipped(set: ReadonlySet<string>, keys: Iterable<string>): ReadonlySet<string> {
  const result = new Set(set);
  for (const key of keys) if (!result.delete(key)) result.add(key);
  return result;
}

