// The three canvases of a photo: the photo with its masks, the mask that is being made, and lines and points on top.
// Everything is drawn in one animation frame at most; while the view moves, a snapshot is moved instead of redrawing.

import { type Moment, mark } from "../marks";
import type { Point } from "../masks/bits";
import { type Box, type Mask, NO_BOX, around, intersect, isEmpty } from "../masks/rle";
import { type Live, NOTHING, drawLive, isBlank } from "./live";
import { Flash, Glide, wanted } from "./motion";
import { outlineOf } from "./outline";
import type { Photo } from "./photo";
import { type Preview, previewPixels } from "./preview";
import { type Colour, type Raster, paintRegion } from "./raster";
import { OverlayTiles, type Source } from "./tiles";
import { type Size, type View, closeUp, fit, kept, toScreen, visible, zoomAt } from "./view";

const STILL_MS = 90; // without movement for so long: drawn again, sharp
const DEAR_MS = 9; // a full drawing that takes longer is replaced by a snapshot while the view moves
const BUDGET_MS = 12; // for painting tiles in one frame

interface Shape {
  readonly canvas: OffscreenCanvas;
  readonly box: Box;
}

export class Stage {
  view: View = { scale: 1, x: 0, y: 0 };
  photo: Photo | null = null;
  tiles: OverlayTiles | null = null;
  opacity = 0.55;
  /** Accepted masks are not shown for now; what was painted of them stays ready. */
  bare = false;
  private outlined = false;
  live: Live = NOTHING;
  /** Told after every change of the view. */
  moved: () => void = () => {};

  private size: Size = { width: 1, height: 1 };
  private ratio = 1;
  /** Room for the panels around a photo that is shown whole. */
  inset = { left: 0, right: 0, top: 0, bottom: 0 };
  private readonly snapshot = document.createElement("canvas");
  private snapshotView: View | null = null;
  /** The view of what the base canvas shows, when that is complete and up to date but for `damage`. */
  private drawnView: View | null = null;
  private damage: Box = NO_BOX;
  private lastComplete = true;
  private cost = 0;
  private movedAt = -1e9;
  private dirty = { base: true, shape: true, top: true };
  private frame = 0;
  private shape: Shape | null = null;
  private shapeLine: Path2D | null = null;
  private shapeColour: Colour = [255, 255, 255];
  private focusLine: Path2D | null = null;
  private seen: readonly Path2D[] = [];
  private glide: Glide | null = null;
  private flashing: Flash | null = null;
  private readonly coming = new Set<Moment>();
  private readonly watcher: ResizeObserver;

  private readonly base = layer();
  private readonly middle = layer();
  private readonly top = layer();

  /** Puts its canvases into an element of class `stage`, below what is there. */
  constructor(private readonly host: HTMLElement) {
    host.prepend(this.base, this.middle, this.top);
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(host);
    this.resized();
  }

  close(): void {
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** A photo with the source of its accepted masks. */
  open(photo: Photo, source: Source): void {
    this.photo = photo;
    this.tiles = new OverlayTiles(photo.width, photo.height, source);
    this.tiles.outlined = this.outlined;
    this.clear();
    this.fit();
    this.tell("photo");
  }

  /** What of a large photo is seen, where a model should look at that alone. */
  get closeUp(): Box | null {
    return this.photo && closeUp(this.photo, visible(this.view, this.photo, this.size));
  }

  get screen(): Size {
    return this.size;
  }

  fit(): void {
    if (this.photo) this.look(fit(this.photo, this.size, this.inset), true);
  }

  least(): number {
    return this.photo ? Math.min(1, fit(this.photo, this.size, this.inset).scale) / 3 : 0.01;
  }

  zoom(factor: number, at: Point): void {
    this.look(zoomAt(this.view, at, factor, this.least()));
  }

  look(view: View, still = false): void {
    if (!this.photo) return;
    this.glide = null;
    this.show(kept(view, this.photo, this.size), still);
  }

  /** The whole photo, gliding there. */
  glideToFit(): void {
    if (this.photo) this.glideTo(fit(this.photo, this.size, this.inset));
  }

  /** Zooms round the middle of the screen, gliding there. */
  glideByZoom(factor: number): void {
    this.glideTo(zoomAt(this.view, { x: this.size.width / 2, y: this.size.height / 2 }, factor, this.least()));
  }

  /** There in a moment, so that the eye can follow. */
  glideTo(view: View): void {
    if (!this.photo || !wanted()) return this.look(view, true);
    this.glide = new Glide(this.view, kept(view, this.photo, this.size), performance.now());
    this.redraw("base");
  }

  private show(view: View, still: boolean): void {
    this.view = view;
    if (!still) this.movedAt = performance.now();
    this.redraw("base", "shape", "top");
    this.moved();
  }

  /** Shows for a moment where masks came or went. */
  flash(masks: readonly Mask[]): void {
    if (!wanted()) return;
    this.flashing = new Flash(masks.map(outlineOf), performance.now());
    this.redraw("top");
  }

  /** Masks in a box changed. */
  touch(box: Box): void {
    this.tiles?.touch(box);
    this.snapshotView = null;
    this.damage = around(this.damage, box);
    this.redraw("base");
  }

  touchAll(): void {
    this.tiles?.touchAll();
    this.drawAnew();
  }

  /** All of what is there, as when its opacity changes. */
  drawAnew(): void {
    this.snapshotView = this.drawnView = null;
    this.redraw("base");
  }

  /** Borders of accepted masks without their areas. */
  outline(only: boolean): void {
    this.outlined = only;
    if (this.tiles) this.tiles.outlined = only;
    this.drawAnew();
  }

  redraw(...layers: ("base" | "shape" | "top")[]): void {
    for (const layer of layers) this.dirty[layer] = true;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  /** Marks a moment once it is drawn. */
  tell(moment: Moment): void {
    this.coming.add(moment);
  }

  setLive(live: Partial<Live>): void {
    this.live = { ...this.live, ...live };
    this.redraw("top");
  }

  clear(): void {
    this.live = NOTHING;
    this.flashing = this.glide = null;
    this.showMask(null);
    this.focus(null);
    this.snapshotView = this.drawnView = null;
    this.redraw("base", "shape", "top");
  }

  /** The mask that is being made, above the accepted ones. */
  showMask(mask: Mask | null, colour: Colour = [255, 255, 255], lined = true): void {
    this.shape = mask && !isEmpty(mask.box) ? shapeOf(mask, colour) : null;
    this.shapeLine = mask && lined ? outlineOf(mask) : null;
    this.shapeColour = colour;
    this.redraw("shape", "top");
  }

  showPreview(preview: Preview | null, colour: Colour): void {
    this.shapeLine = null;
    this.shape = null;
    const picture = preview && previewPixels(preview, colour);
    if (picture) {
      const { width, height, data, box } = picture;
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
      this.shape = { canvas, box };
    }
    if (preview) this.tell("preview");
    this.redraw("shape", "top");
  }

  /** A mask that is under the pointer or chosen in the list: its outline, in white over black. */
  focus(mask: Mask | null, chosen: readonly Mask[] = []): void {
    this.focusLine = mask ? outlineOf(mask) : null;
    this.seen = chosen.map(outlineOf);
    this.redraw("top");
  }

  private resized(): void {
    const before = this.size;
    this.size = { width: Math.max(1, this.host.clientWidth), height: Math.max(1, this.host.clientHeight) };
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of [this.base, this.middle, this.top, this.snapshot]) {
      canvas.width = Math.round(this.size.width * this.ratio);
      canvas.height = Math.round(this.size.height * this.ratio);
    }
    this.snapshotView = this.drawnView = null;
    if (this.photo && before.width > 1) {
      const [dx, dy] = [(this.size.width - before.width) / 2, (this.size.height - before.height) / 2];
      this.look({ ...this.view, x: this.view.x + dx, y: this.view.y + dy }, true);
    } else this.fit();
  }

  private draw(): void {
    this.frame = 0;
    const now = performance.now();
    if (this.glide) this.glideOn(this.glide, now);
    const moving = now - this.movedAt < STILL_MS;
    let again = false;
    if (this.dirty.base) {
      this.dirty.base = false;
      if (moving && this.cost > DEAR_MS && this.hasSnapshot()) {
        this.blit();
        again = true;
      } else again = !this.drawBase();
    }
    if (this.dirty.shape) this.drawShape();
    if (this.dirty.top) this.drawTop();
    this.dirty.shape = this.dirty.top = false;
    this.markDrawn(!again);
    if (again || this.glide) this.redraw("base");
    if (this.flashing) this.redraw("top");
  }

  private glideOn(glide: Glide, now: number): void {
    const { view, done } = glide.at(now);
    this.show(view, false);
    if (done) this.glide = null;
  }

  private markDrawn(complete: boolean): void {
    for (const moment of this.coming) {
      if (moment === "photo" && !complete) continue;
      this.coming.delete(moment);
      mark(moment);
    }
    if (complete) mark("drawn");
  }

  private context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const context = canvas.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const { scale, x, y } = this.view;
    context.setTransform(scale * this.ratio, 0, 0, scale * this.ratio, x * this.ratio, y * this.ratio);
    return context;
  }

  /** Draws photo and masks: all of it, or what changed since the same view was drawn. False: tiles are left to paint. */
  private drawBase(): boolean {
    const started = performance.now();
    const { photo, tiles, view } = this;
    const changed = photo !== null && this.drawnView === view && !isEmpty(this.damage);
    const part = changed ? grown(this.damage, 3 / view.scale + 64) : null;
    const context = part ? this.base.getContext("2d")! : this.context(this.base);
    if (!photo || !tiles) return true;
    const seen = visible(view, photo, this.size);
    const region = part ? intersect(seen, part) : seen;
    this.damage = part ? this.damage : NO_BOX;
    if (isEmpty(region)) return true;
    context.save();
    if (part) this.clip(context, region);
    this.photoAndTiles(context, photo, tiles, region);
    const complete = this.lastComplete;
    context.restore();
    if (!complete) this.drawnView = part ? this.drawnView : null;
    else {
      if (!part) this.cost = performance.now() - started;
      this.damage = NO_BOX;
      this.drawnView = view;
    }
    return complete;
  }

  private photoAndTiles(context: CanvasRenderingContext2D, photo: Photo, tiles: OverlayTiles, region: Box): void {
    const scale = this.view.scale * this.ratio;
    photo.draw(context, region, scale);
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = scale < 4;
    context.imageSmoothingQuality = "low"; // a third of the time of medium
    this.lastComplete = this.bare || this.opacity <= 0 || tiles.draw(context, region, scale, performance.now() + BUDGET_MS);
    context.globalAlpha = 1;
  }

  /** Only whole device pixels inside of the region are drawn anew, so that no seam shows. */
  private clip(context: CanvasRenderingContext2D, region: Box): void {
    const from = toScreen(this.view, { x: region.x0, y: region.y0 });
    const to = toScreen(this.view, { x: region.x1, y: region.y1 });
    const at = (value: number): number => Math.round(value * this.ratio);
    const { width, height } = this.size;
    const photo = this.photo!;
    const edge = (value: number, limit: number, inner: number): number => (value === limit ? 0 : inner);
    const x0 = at(from.x) + edge(region.x0, 0, 2);
    const y0 = at(from.y) + edge(region.y0, 0, 2);
    const x1 = at(to.x) - edge(region.x1, photo.width, 2);
    const y1 = at(to.y) - edge(region.y1, photo.height, 2);
    const { scale, x, y } = this.view;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    const [left, top] = [Math.max(0, x0), Math.max(0, y0)];
    context.rect(left, top, Math.min(at(width), x1) - left, Math.min(at(height), y1) - top);
    context.clip();
    context.setTransform(scale * this.ratio, 0, 0, scale * this.ratio, x * this.ratio, y * this.ratio);
  }

  /** The last complete drawing, copied when it is first moved. */
  private hasSnapshot(): boolean {
    if (this.snapshotView) return true;
    if (!this.drawnView || !isEmpty(this.damage)) return false;
    const copy = this.snapshot.getContext("2d")!;
    copy.clearRect(0, 0, this.snapshot.width, this.snapshot.height);
    copy.drawImage(this.base, 0, 0);
    this.snapshotView = this.drawnView;
    return true;
  }

  private blit(): void {
    this.drawnView = null;
    const context = this.base.getContext("2d")!;
    const from = this.snapshotView!;
    const factor = this.view.scale / from.scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.base.width, this.base.height);
    const [x, y] = [this.view.x - from.x * factor, this.view.y - from.y * factor];
    context.setTransform(factor, 0, 0, factor, x * this.ratio, y * this.ratio);
    context.drawImage(this.snapshot, 0, 0);
  }

  private drawShape(): void {
    const context = this.context(this.middle);
    reveal(this.middle, this.shape !== null);
    if (!this.shape) return;
    const { canvas, box } = this.shape;
    context.imageSmoothingEnabled = this.view.scale * this.ratio < 4;
    context.drawImage(canvas, box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0);
  }

  private drawFlash(context: CanvasRenderingContext2D, flash: Flash, thin: number): void {
    context.globalAlpha = flash.strength(performance.now());
    for (const path of flash.lines) stroke(context, path, 3 * thin, "rgb(255 255 255)", 7 * thin);
    if (context.globalAlpha === 0) this.flashing = null;
    context.globalAlpha = 1;
  }

  private drawTop(): void {
    const context = this.context(this.top);
    reveal(this.top, this.seen.length > 0 || !!(this.focusLine ?? this.shapeLine ?? this.flashing) || !isBlank(this.live));
    const thin = 1 / this.view.scale;
    for (const path of this.seen) stroke(context, path, 2 * thin, "rgb(255 255 255 / .9)", 4 * thin);
    if (this.flashing) this.drawFlash(context, this.flashing, thin);
    if (this.focusLine) stroke(context, this.focusLine, 1.5 * thin, "rgb(255 255 255 / .95)", 3.5 * thin);
    if (this.shapeLine) {
      const [red, green, blue] = this.shapeColour;
      stroke(context, this.shapeLine, 1.75 * thin, `rgb(${red} ${green} ${blue})`, 4 * thin);
    }
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    drawLive(context, this.view, this.live);
  }
}

function layer(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

/** A canvas with nothing on it costs the browser as much as a full one, unless it is hidden. */
function reveal(canvas: HTMLCanvasElement, shown: boolean): void {
  const visibility = shown ? "" : "hidden";
  if (canvas.style.visibility !== visibility) canvas.style.visibility = visibility;
}

function grown(box: Box, by: number): Box {
  return { x0: box.x0 - by, y0: box.y0 - by, x1: box.x1 + by, y1: box.y1 + by };
}

/** The picture of a mask, cropped to its box; large ones are reduced, a screen does not show more. */
function shapeOf(mask: Mask, colour: Colour): Shape {
  const { box } = mask;
  let step = 1;
  while ((box.x1 - box.x0) * (box.y1 - box.y0) > 4_000_000 * step * step) step *= 2;
  const origin = { x: box.x0, y: box.y0 };
  const canvas = new OffscreenCanvas(Math.ceil((box.x1 - box.x0) / step), Math.ceil((box.y1 - box.y0) / step));
  const pixels = new ImageData(canvas.width, canvas.height);
  paintRegion(pixels as Raster, origin, step, box, [{ mask, colour, fill: 110 }]);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return { canvas, box: { x0: box.x0, y0: box.y0, x1: origin.x + canvas.width * step, y1: origin.y + canvas.height * step } };
}

function stroke(context: CanvasRenderingContext2D, path: Path2D, width: number, colour: string, halo: number): void {
  context.lineJoin = "round";
  context.lineWidth = halo;
  context.strokeStyle = "rgb(0 0 0 / .45)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
}
