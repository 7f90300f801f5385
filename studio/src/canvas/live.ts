// Lines and points above the masks: marks, boxes, corners, the brush, the crosshair. In screen pixels.

import type { Point } from "../masks/bits";
import type { Corner, Ring } from "../masks/polygon";
import type { Box } from "../masks/rle";
import { type View, toScreen } from "./view";

export interface Mark {
  readonly at: Point;
  readonly label: 0 | 1;
}

/** What lies on top of the masks. */
export interface Live {
  marks: readonly Mark[];
  box: Box | null;
  lasso: readonly Point[];
  brush: { at: Point; diameter: number; erases: boolean } | null;
  crosshair: Point | null;
  polygon: { rings: readonly Ring[]; hot: Corner | null; ghost: Point | null } | null;
}

export const NOTHING: Live = { marks: [], box: null, lasso: [], brush: null, crosshair: null, polygon: null };

export function isBlank({ marks, box, lasso, brush, crosshair, polygon }: Live): boolean {
  return !marks.length && !box && lasso.length < 2 && !brush && !crosshair && !polygon;
}

export function drawLive(context: CanvasRenderingContext2D, view: View, live: Live): void {
  if (live.box) drawBox(context, view, live.box);
  if (live.lasso.length > 1) {
    context.beginPath();
    for (const corner of live.lasso) {
      const { x, y } = toScreen(view, corner);
      context.lineTo(x, y);
    }
    context.fillStyle = "rgb(255 255 255 / .14)";
    context.fill();
    twice(context, 1.5, "white");
  }
  if (live.polygon) drawPolygon(context, view, live.polygon);
  for (const mark of live.marks) drawMark(context, toScreen(view, mark.at), mark.label);
  if (live.crosshair) drawCrosshair(context, toScreen(view, live.crosshair));
  if (live.brush) {
    const { x, y } = toScreen(view, live.brush.at);
    context.beginPath();
    context.arc(x, y, Math.max(2, (live.brush.diameter * view.scale) / 2), 0, 2 * Math.PI);
    if (live.brush.erases) context.setLineDash([5, 4]);
    twice(context, 1.25, "white");
    context.setLineDash([]);
  }
}

function drawBox(context: CanvasRenderingContext2D, view: View, box: Box): void {
  const from = toScreen(view, { x: box.x0, y: box.y0 });
  const to = toScreen(view, { x: box.x1, y: box.y1 });
  context.beginPath();
  context.rect(from.x, from.y, to.x - from.x, to.y - from.y);
  context.fillStyle = "rgb(255 255 255 / .07)";
  context.fill();
  context.setLineDash([7, 5]);
  twice(context, 1.5, "white");
  context.setLineDash([]);
}

/** Plus in a filled dot includes, minus excludes: told by shape as much as by colour. */
function drawMark(context: CanvasRenderingContext2D, { x, y }: Point, label: 0 | 1): void {
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.fillStyle = label ? "#18a957" : "#e5484d";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "white";
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3.2, y);
  context.lineTo(x + 3.2, y);
  if (label) {
    context.moveTo(x, y - 3.2);
    context.lineTo(x, y + 3.2);
  }
  context.lineWidth = 1.75;
  context.stroke();
}

function drawCrosshair(context: CanvasRenderingContext2D, { x, y }: Point): void {
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
    context.moveTo(x + dx * 4, y + dy * 4);
    context.lineTo(x + dx * 18, y + dy * 18);
  }
  twice(context, 2, "white");
}

function twice(context: CanvasRenderingContext2D, width: number, colour: string): void {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgb(0 0 0 / .5)";
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

const CROWDED = 8; // screen pixels between corners: nearer ones are drawn as dots

function drawPolygon(context: CanvasRenderingContext2D, view: View, { rings, hot, ghost }: NonNullable<Live["polygon"]>): void {
  context.beginPath();
  for (const ring of rings) {
    ring.forEach((corner, i) => {
      const { x, y } = toScreen(view, corner);
      if (i) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.closePath();
  }
  twice(context, 1.5, "white");
  rings.forEach((ring, i) => ring.forEach((_, at) => drawCorner(context, view, ring, at, hot?.ring === i && hot.at === at)));
  if (!ghost) return;
  const { x, y } = toScreen(view, ghost);
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = "rgb(255 255 255 / .85)";
  context.fill();
  twice(context, 1, "#4a52d4");
}

function drawCorner(context: CanvasRenderingContext2D, view: View, ring: Ring, at: number, hot: boolean): void {
  const { x, y } = toScreen(view, ring[at]!);
  const next = toScreen(view, ring[(at + 1) % ring.length]!);
  const half = hot ? 5 : Math.hypot(next.x - x, next.y - y) < CROWDED ? 2 : 3.5;
  context.fillStyle = hot ? "#4a52d4" : "white";
  context.strokeStyle = hot ? "white" : "rgb(20 22 40 / .8)";
  context.lineWidth = hot ? 2 : 1;
  context.beginPath();
  context.rect(x - half, y - half, 2 * half, 2 * half);
  context.fill();
  context.stroke();
}
