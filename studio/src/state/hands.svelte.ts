// What hands do on the photo, by pointer or by keys, told to the workspace. Knows tools; draws nothing itself.

import type { Manner, Target, Touched } from "../canvas/pointing";
import type { Stage } from "../canvas/stage";
import { panned, toScreen } from "../canvas/view";
import { t } from "../i18n/index.svelte";
import type { Act, Situation } from "../keys/keymap";
import type { Point } from "../masks/bits";
import type { Box } from "../masks/rle";
import { app } from "./app.svelte";
import { prefs } from "./prefs.svelte";
import type { Tool, Workspace } from "./workspace.svelte";

export interface Outside {
  readonly go: (by: number) => void;
  readonly submit: () => void;
  readonly skip: () => void;
  readonly copy: () => void;
}

const TAP_MS = 300;
const CORNER_REACH = 16; // screen pixels
const MANNERS: Readonly<Record<Tool, Manner>> = {
  click: "click", box: "box", brush: "stroke", eraser: "stroke", lasso: "lasso", corners: "corners", select: "select", pan: "pan",
};

export class Hands implements Target {
  work: Workspace | null = null;
  drawing = $state(false);
  crosshair = $state.raw<Point | null>(null);
  classSearch = $state(false);
  wordsFocus = $state(0);
  private spaceDown = $state(false);
  private spaceAt = 0;
  private spaceUsed = false;
  private pointer: Point | null = null;
  private value: 0 | 1 = 1;

  constructor(
    private readonly stage: Stage,
    private readonly outside: Outside,
  ) {}

  get situation(): Situation {
    const { work } = this;
    return {
      making: work?.making.live ?? false,
      crosshair: this.crosshair !== null,
      corners: work?.making.corners.live ?? false,
      candidates: work?.making.drafting.live ? 0 : (work?.making.prompting.candidates.length ?? 0),
    };
  }

  // ---- pointer

  manner(): Manner {
    return MANNERS[this.work?.tool ?? "pan"];
  }

  panning(): boolean {
    return this.spaceDown;
  }

  busy(drawing: boolean): void {
    this.drawing = drawing;
    if (this.spaceDown) this.spaceUsed = true;
    this.tick();
  }

  click(at: Point, label: 0 | 1): void {
    const { work } = this;
    if (!work) return;
    this.tick();
    this.crosshair = null;
    this.stage.setLive({ crosshair: null });
    if (work.tool === "corners") return void this.outline(work, at, label);
    if (work.finding.proposals && !work.making.live) {
      const proposal = work.finding.at(at.x, at.y);
      if (proposal) return label ? work.finding.take([proposal]) : work.finding.reject([proposal]);
    }
    work.making.click(at.x, at.y, label);
  }

  /** A click with the tool for corners: takes one away, or goes to the mask that was clicked. */
  private async outline(work: Workspace, at: Point, label: 0 | 1): Promise<void> {
    const { corners } = work.making;
    if (label === 0) return void corners.removeAt(at, CORNER_REACH / this.stage.view.scale);
    const item = work.masks.at(at.x, at.y);
    await work.making.accept();
    if (!item || !work.masks.document.item(item.key) || work.holding.refuses()) return;
    work.masks.select([item.key]);
    work.making.startDraft();
    work.making.show();
  }

  grab(at: Point, reach: number): boolean {
    this.tick();
    return this.work?.making.corners.grab(at, reach) ?? false;
  }

  drag(at: Point): void {
    this.work?.making.corners.drag(at);
  }

  drop(): void {
    this.work?.making.corners.drop();
  }

  select(at: Point, more: boolean): void {
    const item = this.work?.masks.at(at.x, at.y);
    this.tick();
    if (!item) {
      if (!more) this.work?.masks.select([]);
    } else if (more) this.work!.masks.toggle(item.key);
    else this.work!.masks.select([item.key]);
  }

  box(box: Box): void {
    this.tick();
    this.work?.making.box(box);
  }

  strokeDown(at: Touched, inverted: boolean): void {
    const { work } = this;
    if (!work || work.holding.readOnly) return;
    this.tick();
    this.value = (work.tool === "eraser") !== inverted ? 0 : 1;
    work.making.startDraft();
    work.making.drafting.down(at, prefs.brush * at.width, this.value);
    work.making.show();
    this.showBrush(at);
  }

  strokeMove(points: readonly Touched[]): void {
    for (const at of points) this.work?.making.drafting.move(at, prefs.brush * at.width, this.value);
    this.work?.making.drafting.moved();
    this.work?.making.show();
    this.showBrush(points[points.length - 1]!);
  }

  strokeUp(): void {
    this.work?.making.drafting.up();
  }

  lasso(corners: readonly Point[], inverted: boolean): void {
    const { work } = this;
    if (!work || work.holding.readOnly || corners.length < 3) return;
    this.tick();
    work.making.startDraft();
    work.making.drafting.fill(corners, inverted ? 0 : 1);
    work.making.show();
  }

  hover(at: Point | null): void {
    const { work, stage } = this;
    this.pointer = at;
    if (!work) return;
    if (at) this.tick();
    const { photo } = stage;
    const inside = at !== null && photo !== null && at.x >= 0 && at.y >= 0 && at.x < photo.width && at.y < photo.height;
    this.showBrush(inside ? at : null);
    if (!inside) {
      work.masks.over(null);
      return work.hover.leave();
    }
    work.making.corners.hover(inside ? at : null, CORNER_REACH / stage.view.scale);
    if (work.tool === "select" || (work.tool === "corners" && !work.making.live)) work.masks.over(work.masks.at(at.x, at.y)?.key ?? null);
    else if (work.finding.proposals) {
      const proposal = work.finding.at(at.x, at.y)?.id ?? null;
      work.masks.over(proposal);
      if (proposal) return work.hover.leave();
    }
    if (work.tool === "click" && !work.making.live && !work.holding.readOnly) work.hover.at(at);
    else if (!work.making.live) work.hover.leave();
  }

  cycle(by: number): void {
    const { prompting } = this.work!.making;
    if (prompting.live) prompting.choose(prompting.chosen + by);
  }

  // ---- keys

  space(down: boolean): void {
    if (down) {
      if (!this.spaceDown) [this.spaceAt, this.spaceUsed] = [performance.now(), false];
      this.spaceDown = true;
      return;
    }
    const tapped = this.spaceDown && !this.spaceUsed && performance.now() - this.spaceAt < TAP_MS;
    this.spaceDown = false;
    if (tapped) this.act("accept", false);
  }

  /** The window lost the focus: nothing is held down any more. */
  let(): void {
    this.spaceDown = false;
    this.peek(false);
  }

  peek(on: boolean): void {
    this.work?.masks.hideAll(on);
  }

  act(act: Act, repeated: boolean): void {
    const { work } = this;
    if (!work) return;
    this.tick();
    if (act.startsWith("class-") && act !== "class-search") return this.byDigit(Number(act.slice(6)));
    if (act.startsWith("pick-")) return work.making.prompting.choose(Number(act.slice(5)) - 1);
    if (this.moveCorner(act) || this.moveCrosshair(act)) return;
    if (!repeated || act === "smaller" || act === "larger" || act === "undo" || act === "redo") this.table[act]?.(work);
  }

  private readonly table: Partial<Record<Act, (work: Workspace) => void>> = {
    accept: (work) => {
      if (work.making.live) void work.making.accept();
      else if (work.finding.proposals) work.finding.takeAll();
    },
    cancel: (work) => this.escape(work),
    back: (work) => (work.making.live ? work.undo() : work.masks.remove()),
    undo: (work) => work.undo(),
    redo: (work) => work.redo(),
    "next-candidate": () => this.cycle(1),
    "previous-candidate": () => this.cycle(-1),
    "tool-click": () => this.use("click"),
    "tool-box": () => this.use("box"),
    "tool-brush": () => this.use("brush"),
    "tool-eraser": () => this.use("eraser"),
    "tool-lasso": () => this.use("lasso"),
    "tool-corners": () => this.use("corners"),
    "tool-select": () => this.use("select"),
    everything: (work) => void work.everything(),
    smaller: () => this.size(1 / 1.2),
    larger: () => this.size(1.2),
    delete: (work) => work.masks.remove(),
    hide: (work) => work.masks.hide(),
    "hide-all": (work) => work.masks.hideAll(!work.masks.allHidden),
    lock: (work) => work.masks.lock(),
    merge: (work) => work.masks.unite(),
    split: (work) => work.masks.split(),
    outlines: () => (prefs.outlines = !prefs.outlines),
    fainter: () => (prefs.opacity = Math.max(0, Math.round(prefs.opacity * 10 - 1) / 10)),
    stronger: () => (prefs.opacity = Math.min(1, Math.round(prefs.opacity * 10 + 1) / 10)),
    peek: () => this.peek(true),
    next: () => this.outside.go(1),
    previous: () => this.outside.go(-1),
    submit: () => this.outside.submit(),
    skip: () => this.outside.skip(),
    save: () => void app.queue.flush(),
    crosshair: () => this.toggleCrosshair(),
    include: () => this.atCrosshair(1),
    exclude: () => this.atCrosshair(0),
    fit: () => this.stage.glideToFit(),
    real: () => this.stage.glideByZoom(1 / this.stage.view.scale),
    "next-calm": (work) => work.masks.nextCalm(),
    confirm: (work) => work.masks.confirm(),
    wrong: (work) => work.masks.remove(),
    "class-search": () => (this.classSearch = true),
    copy: () => this.outside.copy(),
    panel: () => (prefs.panel = !prefs.panel),
    words: () => (this.wordsFocus += 1),
  };

  use(tool: Tool): void {
    if (!this.work) return;
    const { corners } = this.work.making;
    this.work.tool = tool;
    if (tool === "corners" && !this.work.holding.readOnly && (this.work.making.prompting.current || this.work.masks.editable)) this.work.making.startDraft();
    corners.use(tool === "corners");
    this.work.hover.leave();
    this.work.masks.over(null);
    this.showBrush(this.pointer);
    this.work.making.show();
  }

  private escape(work: Workspace): void {
    if (work.making.live) work.cancel();
    else if (this.crosshair) this.toggleCrosshair();
    else if (work.finding.proposals || work.finding.searching) work.finding.stop();
    else work.masks.select([]);
  }

  private size(factor: number): void {
    prefs.brush = Math.min(400, Math.max(1, factor > 1 ? Math.ceil(prefs.brush * factor) : Math.floor(prefs.brush * factor)));
    this.showBrush(this.pointer);
  }

  private showBrush(at: Point | null): void {
    const tool = this.work?.tool;
    const shown = at && (tool === "brush" || tool === "eraser");
    this.stage.setLive({ brush: shown ? { at, diameter: prefs.brush, erases: tool === "eraser" } : null });
  }

  private byDigit(digit: number): void {
    const chosen = app.project?.settings.classes[digit - 1];
    if (chosen) this.work!.label(chosen.name);
  }

  // ---- prompting without a mouse

  private toggleCrosshair(): void {
    const { photo, screen, view } = this.stage;
    if (!photo) return;
    const middle = { x: (screen.width / 2 - view.x) / view.scale, y: (screen.height / 2 - view.y) / view.scale };
    this.setCrosshair(this.crosshair ? null : middle);
  }

  private setCrosshair(at: Point | null): void {
    const { photo } = this.stage;
    const clip = (value: number, most: number): number => Math.floor(Math.min(most - 1, Math.max(0, value))) + 0.5;
    this.crosshair = at && photo && { x: clip(at.x, photo.width), y: clip(at.y, photo.height) };
    this.stage.setLive({ crosshair: this.crosshair });
    if (!this.crosshair) return;
    const [x, y] = [Math.floor(this.crosshair.x), Math.floor(this.crosshair.y)];
    app.say(() => t("say.crosshair", { x, y }));
    this.follow(this.crosshair);
    if (this.work && !this.work.making.live && this.work.tool === "click") this.work.hover.at(this.crosshair);
  }

  /** Moves the photo when the crosshair would leave the screen. */
  private follow(at: Point): void {
    const { view, screen } = this.stage;
    const { x, y } = toScreen(view, at);
    const margin = 90;
    const dx = Math.max(0, margin - x) + Math.min(0, screen.width - margin - x);
    const dy = Math.max(0, margin - y) + Math.min(0, screen.height - margin - y);
    if (dx || dy) this.stage.look(panned(view, dx, dy));
  }

  /** With corners shown, keys are about them. */
  private moveCorner(act: Act): boolean {
    const corners = this.work!.making.corners;
    if (!corners.live) return false;
    if (act === "next-candidate" || act === "previous-candidate") corners.step(act === "next-candidate" ? 1 : -1);
    else if (act === "include") corners.add();
    else if (act === "delete" || act === "exclude") corners.remove();
    else {
      const by = stepOf(act);
      if (!by) return false;
      corners.nudge(by.x, by.y);
    }
    return true;
  }

  private moveCrosshair(act: Act): boolean {
    const by = stepOf(act);
    if (!by || !this.crosshair) return false;
    this.setCrosshair({ x: this.crosshair.x + by.x, y: this.crosshair.y + by.y });
    return true;
  }

  private atCrosshair(label: 0 | 1): void {
    const at = this.crosshair;
    if (!at || !this.work) return;
    this.work.making.click(at.x, at.y, label);
  }

  private tick(): void {
    this.work?.author.time.tick(performance.now());
  }
}

/** Photo pixels that a key of the arrows means. */
function stepOf(act: Act): Point | null {
  const found = /^(left|right|up|down)(-far)?$/.exec(act);
  if (!found) return null;
  const far = found[2] ? 16 : 1;
  const x = found[1] === "left" ? -far : found[1] === "right" ? far : 0;
  const y = found[1] === "up" ? -far : found[1] === "down" ? far : 0;
  return { x, y };
}
