// The mask in the making: a prompt that the model answers, or a drawing, until it is kept or dropped.

import type { NewMask, Op, PhotoInfo } from "../api/types";
import { LIVE } from "../canvas/colours";
import type { Colour } from "../canvas/raster";
import type { Stage } from "../canvas/stage";
import { t, number, percent } from "../i18n/index.svelte";
import type { Box, Mask } from "../masks/rle";
import { signs } from "../keys/shown";
import { app } from "./app.svelte";
import type { Authorship } from "./authorship.svelte";
import { colourIn } from "./classes";
import { Drafting } from "./drafting.svelte";
import { Corners } from "./corners.svelte";
import { comeBack, leave } from "./left";
import type { Masks } from "./masks.svelte";
import { Prompting, type Shown } from "./prompting.svelte";

export class Making {
  accepting = $state(false);
  readonly prompting: Prompting;
  readonly drafting: Drafting;
  readonly corners: Corners;
  private told: Shown | null = null;

  constructor(
    private readonly image: PhotoInfo,
    client: string,
    private readonly stage: Stage,
    private readonly masks: Masks,
    private readonly author: Authorship,
  ) {
    this.prompting = new Prompting(image, client, () => stage.closeUp);
    this.drafting = new Drafting(image.width, image.height);
    this.corners = new Corners(this.drafting, stage);
    this.corners.changed = () => this.show();
    this.prompting.changed = () => this.show();
    this.prompting.failed = (error) => app.fail(error);
  }

  /** Whether something is being made that Enter would accept. */
  get live(): boolean {
    return this.prompting.live || this.drafting.live;
  }

  click(x: number, y: number, label: 0 | 1): void {
    if (this.masks.holding.refuses()) return;
    const draft = this.drafting.mask;
    if (draft) {
      this.drafting.cancel();
      this.prompting.cancel();
      this.prompting.drawn(draft);
    }
    this.prompting.click({ x, y }, label);
  }

  box(box: Box): void {
    if (this.masks.holding.refuses()) return;
    this.drafting.cancel();
    this.prompting.drag(box);
  }

  /** Makes what is there a drawing: the candidate, the one selected mask, or nothing. */
  startDraft(): void {
    if (this.drafting.live) return;
    const { masks } = this;
    const editable = this.prompting.current ? undefined : masks.editable;
    const mask = this.prompting.current?.mask ?? editable?.mask ?? null;
    if (editable) masks.edit(editable);
    this.prompting.cancel();
    this.drafting.begin(mask);
    this.corners.follow();
  }

  /** A drawing is not lost when its photo is left: it is there again when the photo is. */
  leave(): void {
    const { mask } = this.drafting;
    const { editing, document } = this.masks;
    const edited = editing && document.uidOf(editing.key);
    leave(this.image, mask?.area && mask !== editing?.mask ? { mask, edited } : null);
  }

  comeBack(): void {
    const left = this.masks.holding.readOnly ? null : comeBack(this.image);
    if (!left) return;
    const edited = this.masks.document.item(left.edited);
    if (edited) this.masks.edit(edited);
    this.drafting.begin(left.mask);
    this.show();
    app.tell(t("draft.back"));
  }

  cancel(): void {
    const edited = this.masks.edit(null);
    this.drafting.cancel();
    this.prompting.cancel();
    this.stage.setLive({ lasso: [], box: null, marks: [] });
    if (edited) this.stage.touch(edited.mask.box);
    this.show();
    this.masks.showFocus();
  }

  /** Takes the last stroke or click back. */
  back(): void {
    if (!this.drafting.live) return this.prompting.back();
    if (!this.drafting.back()) this.cancel();
    else this.show();
  }

  /** Keeps what is being made. Waits for the final mask when only a quick look is there. */
  async accept(): Promise<void> {
    if (this.accepting || this.masks.holding.readOnly) return;
    if (this.drafting.live) return this.acceptDraft();
    if (!this.prompting.live) return;
    if (this.prompting.stuck && !this.prompting.current?.final) return this.prompting.retry();
    this.accepting = true;
    try {
      const prompted = await this.prompting.accepted();
      if (!prompted) {
        if (this.prompting.live && !this.prompting.busy) app.tell(t("nothing.here"));
        return;
      }
      const { shown, prompts, offered, model } = prompted;
      this.add(shown.mask, { prompts, offered, taken: shown.id, model, probability: shown.probability });
      this.prompting.cancel();
    } finally {
      this.accepting = false;
    }
  }

  private acceptDraft(): void {
    const mask = this.drafting.mask!;
    const { editing, document } = this.masks;
    if (mask === editing?.mask) return this.cancel(); // nothing was drawn
    if (mask.area === 0) return editing ? (this.cancel(), this.masks.remove([editing.key])) : this.cancel();
    this.masks.edit(null);
    this.drafting.cancel();
    this.stage.showMask(null);
    this.corners.follow();
    if (!editing) return this.add(mask, {});
    if (!document.item(editing.key)) {
      app.tell(t("draft.alone"));
      return this.add(mask, { category: editing.category });
    }
    const fresh = this.author.fresh(mask, { category: editing.category });
    const item = this.author.item(fresh, mask, editing);
    const operation: Op = { op: "replace", uid: document.uidOf(editing.key), mask: fresh };
    this.masks.commit(document.add("edit", [item], [operation], [editing]));
    this.masks.select([item.key]);
  }

  private add(mask: Mask, more: Partial<NewMask>): void {
    const fresh = this.author.fresh(mask, more);
    const item = this.author.item(fresh, mask);
    const twin = this.masks.document.twin(mask, fresh.category);
    this.masks.commit(this.masks.document.add("add", [item], [{ op: "add", mask: fresh }]));
    if (twin) app.tell(t("masks.twin", { name: this.masks.nameOf(twin), key: signs("undo")[0]?.join("+") ?? "Ctrl+K" }));
    this.masks.count("say.accepted");
  }

  private colour(): Colour {
    return colourIn(app.project?.settings.classes ?? [], this.author.category) ?? LIVE;
  }

  show(): void {
    const { current, turn, candidates, chosen } = this.prompting;
    this.corners.follow();
    if (this.drafting.live) this.stage.showMask(this.drafting.mask, this.colour());
    else if (current) {
      this.stage.showMask(current.mask, this.colour());
      if (current !== this.told) this.stage.tell(current.final ? "refined" : "look");
      this.told = current;
    } else if (!this.prompting.live) this.stage.showMask(null);
    this.stage.setLive({ marks: turn.marks, box: turn.box });
    if (!current || this.drafting.live) return;
    const facts = { n: chosen + 1, of: candidates.length, p: percent(current.probability), px: number(current.mask.area) };
    app.say(() => t("say.candidate", facts));
  }
}
