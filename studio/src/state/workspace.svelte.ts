// One photo on the screen with everything that is done to it. Tools call this; components show it.

import { get, newUid } from "../api/client";
import type { Op, PhotoInfo, StoredMask, Work } from "../api/types";
import { CALM, LIVE } from "../canvas/colours";
import type { Painted } from "../canvas/raster";
import type { Stage } from "../canvas/stage";
import { t } from "../i18n/index.svelte";
import { type Box, intersect, isEmpty } from "../masks/rle";
import { app } from "./app.svelte";
import { Authorship } from "./authorship.svelte";
import { fromStored } from "./document";
import { Finding } from "./finding.svelte";
import { Holding } from "./holding.svelte";
import { Hover } from "./hover";
import { Making } from "./making.svelte";
import { Masks } from "./masks.svelte";
import { showPhoto } from "./opening";
import { Others } from "./others";
import { prefs } from "./prefs.svelte";

export type Tool = "click" | "box" | "brush" | "eraser" | "lasso" | "corners" | "select" | "pan";

const client = newUid();

export class Workspace {
  tool = $state<Tool>("click");
  notReady = $state(false);
  scale = $state(1);
  /** The photo is on the screen. */
  opened = $state(false);

  readonly author = new Authorship();
  readonly holding: Holding;
  readonly masks: Masks;
  readonly making: Making;
  readonly finding: Finding;
  readonly hover: Hover;
  private readonly others: Others;
  private closed = false;

  constructor(
    readonly image: PhotoInfo,
    private readonly stage: Stage,
  ) {
    this.holding = new Holding(image);
    this.masks = new Masks(image, this.holding, stage, this.author);
    this.making = new Making(image, client, stage, this.masks, this.author);
    this.finding = new Finding(image, client, stage, this.masks, this.author);
    this.masks.maskUnder = (key) => this.finding.maskOf(key);
    this.others = new Others(image, this.holding, this.masks);
    const show = (preview: Parameters<Stage["showPreview"]>[0]): void => {
      if (!this.making.live) stage.showPreview(preview, LIVE);
    };
    this.hover = new Hover(image.id, client, () => stage.closeUp, show, (notReady) => (this.notReady = notReady));
  }

  // ---- opening and leaving

  async open(work: Work | null, display: Promise<ImageBitmap>): Promise<void> {
    const [bitmap] = await Promise.all([display, this.loadMasks(work)]);
    if (this.closed) return;
    this.showPhoto(bitmap);
    this.masks.refresh();
    this.opened = true;
    this.holding.keep();
    this.making.comeBack();
  }

  private async loadMasks(work: Work | null): Promise<void> {
    this.holding.take(work);
    this.author.semi = work ? work.stage !== "manual" : false;
    if (!work?.masks) return this.others.load();
    this.masks.document.load(work.masks.map(fromStored));
    this.others.opened(work.revision);
  }

  private showPhoto(bitmap: ImageBitmap): void {
    showPhoto(this.image, bitmap, this.stage, (region) => this.painted(region), () => {
      this.scale = this.stage.view.scale;
      this.making.corners.zoomed();
    });
    this.stage.opacity = prefs.opacity;
    this.stage.bare = false;
    this.scale = this.stage.view.scale;
  }

  /** The photo may not come back: what is being drawn is kept aside. */
  leave(): void {
    if (this.opened && !this.holding.readOnly) this.making.leave();
  }

  close(): void {
    this.closed = true;
    this.leave();
    this.holding.close();
    this.finding.close();
    this.making.prompting.cancel();
    this.hover.close();
    this.others.close();
    this.stage.clear();
  }

  private painted(region: Box): Painted[] {
    const found = this.masks.painted(region);
    for (const one of this.finding.offered) {
      if (!isEmpty(intersect(one.mask.box, region))) found.push({ mask: one.mask, colour: CALM, fill: 120 });
    }
    return found;
  }

  // ---- what concerns more than one of its parts

  undo(): void {
    if (this.making.live) this.making.back();
    else this.masks.undo();
  }

  redo(): void {
    if (!this.making.live) this.masks.redo();
  }

  cancel(): void {
    this.making.cancel();
    if (this.finding.live) this.finding.stop();
  }

  /** The class of what is selected, and of what comes. */
  label(category: string | null): void {
    this.author.category = category;
    this.masks.label(category);
    this.making.show();
  }

  async everything(): Promise<void> {
    if (this.holding.readOnly) return;
    this.cancel();
    await this.finding.everything();
  }

  async find(text: string): Promise<void> {
    if (this.holding.readOnly) return;
    this.cancel();
    await this.finding.words(text);
  }

  /** The masks of another photo of the same size, put into this one. */
  async copyFrom(other: PhotoInfo): Promise<void> {
    if (this.holding.readOnly) return;
    if (other.width !== this.image.width || other.height !== this.image.height) return app.tell(t("copy.size"));
    const { masks } = await get<{ masks: StoredMask[] }>(`/images/${other.id}/masks?layer=0`);
    if (!masks.length) return app.tell(t("copy.none"));
    const operations: Op[] = [];
    const adds = masks.map((one) => {
      const fresh = { uid: newUid(), rle: one.rle, category: one.category, stage: this.author.stage };
      operations.push({ op: "add", mask: fresh });
      return this.author.item(fresh, fromStored(one).mask);
    });
    this.masks.commit(this.masks.document.add("copy", adds, operations));
  }

  /** Waits until everything is with the server, then hands the photo in. */
  async submit(): Promise<boolean> {
    return (await this.settled()) && this.holding.finish("submit", { seconds: this.author.time.takePhoto() });
  }

  async review(verdict: "accepted" | "returned", reason = ""): Promise<boolean> {
    return (await this.settled()) && this.holding.finish("review", { verdict, reason });
  }

  /** What is being made is kept and everything is saved: a task that is over takes no more saves. */
  private async settled(): Promise<boolean> {
    if (!this.holding.lease) return false;
    await this.making.accept();
    await app.queue.flush();
    if (app.saving.waiting > 0) app.tell(t("submit.waits"), "error");
    return app.saving.waiting === 0;
  }
}
