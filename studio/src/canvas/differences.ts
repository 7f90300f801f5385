// What two people drew differently, above the photo: A's line is solid, B's is dashed, and each has its letter, so
// that nobody needs the colours. What only one of the two has inside is filled in that one's colour.

import type { Point } from "../masks/bits";
import type { Mask } from "../masks/rle";
import type { Difference } from "../state/comparison";
import { cssOf } from "./colours";
import { outlineOf } from "./outline";
import type { Colour } from "./raster";
import type { Stage } from "./stage";
import { toScreen, visible } from "./view";

export const COLOURS: Readonly<Record<Side, Colour>> = { a: [86, 180, 255], b: [255, 159, 64] };
export type Side = "a" | "b";
export type Shown = Side | "both";

const SIDES = ["a", "b"] as const;
const LETTERED = 22; // screen pixels of a thing that has room for letters
const DARK = "rgb(12 14 22 / .62)";

interface Lines {
  readonly difference: Difference;
  readonly a: Path2D | null;
  readonly b: Path2D | null;
}

/** How strongly one is drawn: the chosen one, one of many, one that steps back for the chosen one. */
type Weight = "chosen" | "plain" | "back";
const FILL: Readonly<Record<Weight, number>> = { chosen: 0.5, plain: 0.34, back: 0.1 };
const LINE: Readonly<Record<Weight, number>> = { chosen: 2.5, plain: 2, back: 1.25 };

export class DifferenceLayer {
  private lines: readonly Lines[] = [];
  private shown: Shown = "both";
  private chosen: string | null = null;
  private hidden = false;
  private frame = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly stage: Stage,
  ) {}

  close(): void {
    cancelAnimationFrame(this.frame);
  }

  load(differences: readonly Difference[]): void {
    this.lines = differences.map((difference) => ({ difference, a: lineOf(difference.a?.mask), b: lineOf(difference.b?.mask) }));
    this.redraw();
  }

  show(shown: Shown, chosen: string | null, hidden: boolean): void {
    [this.shown, this.chosen, this.hidden] = [shown, chosen, hidden];
    this.redraw();
  }

  redraw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.frame = 0;
    const { canvas, stage } = this;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(stage.screen.width * ratio), Math.round(stage.screen.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.hidden || !stage.photo) return;
    const seen = visible(stage.view, stage.photo, stage.screen);
    const near = this.lines.filter(({ difference: { box } }) => box.x0 < seen.x1 && box.y0 < seen.y1 && box.x1 > seen.x0 && box.y1 > seen.y0);
    const { scale, x, y } = stage.view;
    context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
    const last = near.filter((one) => one.difference.key === this.chosen);
    for (const one of near) if (!last.includes(one)) paint(context, one, this.shown, 1 / scale, this.chosen ? "back" : "plain");
    for (const one of last) paint(context, one, this.shown, 1 / scale, "chosen");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const one of this.chosen ? last : near) this.letter(context, one.difference);
  }

  private letter(context: CanvasRenderingContext2D, difference: Difference): void {
    const { view } = this.stage;
    for (const side of SIDES) {
      const mask = difference[side]?.mask;
      if (!mask || (this.shown !== "both" && this.shown !== side)) continue;
      const { x0, y0, x1, y1 } = mask.box;
      if (Math.max(x1 - x0, y1 - y0) * view.scale >= LETTERED) badge(context, toScreen(view, side === "a" ? leftmost(mask) : rightmost(mask)), side);
    }
  }
}

/** Where A has its letter: in the middle of the first run. */
export function leftmost({ ends, height }: Mask): Point {
  const run = ends.findIndex((end, i) => i % 2 === 1 && end > ends[i - 1]!);
  return { x: Math.floor(ends[run - 1]! / height), y: ((ends[run - 1]! + ends[run]! - 1) / 2 % height) + 0.5 };
}

/** And B: in the middle of the last one. */
export function rightmost({ ends, height }: Mask): Point {
  let run = ends.length - 1 - (ends.length % 2);
  while (ends[run] === ends[run - 1]) run -= 2;
  return { x: Math.floor((ends[run]! - 1) / height) + 1, y: ((ends[run - 1]! + ends[run]! - 1) / 2 % height) + 0.5 };
}

/** Small, for a list: the context maps the photo, `unit` is a pixel of the screen in it. */
export function paintSmall(context: CanvasRenderingContext2D, { a, b }: Difference, unit: number): void {
  paint(context, { a: lineOf(a?.mask), b: lineOf(b?.mask) }, "both", unit, "plain");
}

function lineOf(mask: Mask | undefined): Path2D | null {
  return mask ? outlineOf(mask) : null;
}

function paint(context: CanvasRenderingContext2D, { a, b }: Pick<Lines, Side>, shown: Shown, unit: number, weight: Weight): void {
  const paths = { a: shown === "b" ? null : a, b: shown === "a" ? null : b };
  for (const side of SIDES) {
    const path = paths[side];
    if (path) fill(context, path, paths[side === "a" ? "b" : "a"], cssOf(COLOURS[side], FILL[weight]));
  }
  context.lineJoin = "round";
  if (weight !== "back") {
    context.lineWidth = (LINE[weight] + 2.5) * unit;
    context.strokeStyle = DARK;
    for (const side of SIDES) if (paths[side]) context.stroke(paths[side]);
  }
  context.lineWidth = LINE[weight] * unit;
  for (const side of SIDES) {
    const path = paths[side];
    if (!path) continue;
    context.setLineDash(side === "b" ? [7 * unit, 6 * unit] : []);
    context.strokeStyle = cssOf(COLOURS[side], weight === "back" ? 0.75 : 1);
    context.stroke(path);
  }
  context.setLineDash([]);
}

/** What lies in the one and not in the other. */
function fill(context: CanvasRenderingContext2D, path: Path2D, other: Path2D | null, colour: string): void {
  context.fillStyle = colour;
  if (!other) return context.fill(path, "evenodd");
  const both = new Path2D(path);
  both.addPath(other);
  context.save();
  context.clip(path, "evenodd");
  context.fill(both, "evenodd");
  context.restore();
}

function badge(context: CanvasRenderingContext2D, { x, y }: { x: number; y: number }, side: Side): void {
  const half = 9;
  context.beginPath();
  if (side === "a") context.arc(x, y, half, 0, 2 * Math.PI);
  else context.roundRect(x - half, y - half, 2 * half, 2 * half, 4);
  context.fillStyle = cssOf(COLOURS[side]);
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = DARK;
  context.stroke();
  context.fillStyle = "#10131c";
  context.font = "700 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(side.toUpperCase(), x, y + 0.5);
}
