// The outline of a mask: along the edges of its pixels, and as a smooth line for the eye.

import { type Mask, eachStretch } from "../masks/rle";

/** Calls `line` for every straight piece of the border, in photo coordinates. */
export function eachEdge(mask: Mask, line: (x0: number, y0: number, x1: number, y1: number) => void): void {
  let before: number[] = [];
  let column: number[] = [];
  let at = mask.box.x0;
  const finish = (): void => {
    between(before, column, (y0, y1) => line(at, y0, at, y1));
    before = column;
    column = [];
    at += 1;
  };
  const levels = new Map<number, [number, number]>(); // open horizontal pieces by their y: from x to x
  const level = (x: number, y: number): void => {
    const open = levels.get(y);
    if (open && open[1] === x) {
      open[1] = x + 1;
      return;
    }
    if (open) line(open[0], y, open[1], y);
    levels.set(y, [x, x + 1]);
  };
  eachStretch(mask, mask.box, 1, (x, y0, y1) => {
    while (at < x) finish();
    column.push(y0, y1);
    level(x, y0);
    level(x, y1);
  });
  while (at <= mask.box.x1) finish();
  for (const [y, [x0, x1]] of levels) line(x0, y, x1, y);
}

/** Where exactly one of two columns is inside; both are sorted starts and ends. */
function between(a: readonly number[], b: readonly number[], each: (y0: number, y1: number) => void): void {
  const ys = [...a, ...b].sort((p, q) => p - q);
  for (let i = 0; i + 1 < ys.length; i += 2) if (ys[i]! < ys[i + 1]!) each(ys[i]!, ys[i + 1]!);
}

type Corner = readonly [number, number];
const CUT = 2; // pixels of a straight piece that a corner may take: steps of single pixels become slopes

/** Closed rings through the border: corners in order, holes too. */
export function ringsOf(mask: Mask): Corner[][] {
  const pieces: [Corner, Corner][] = [];
  const ends = new Map<number, number[]>();
  const at = ([x, y]: Corner): number => x * (mask.height + 1) + y;
  const note = (corner: Corner, piece: number): void => {
    const known = ends.get(at(corner));
    if (known) known.push(piece);
    else ends.set(at(corner), [piece]);
  };
  eachEdge(mask, (x0, y0, x1, y1) => {
    const piece = pieces.push([[x0, y0], [x1, y1]]) - 1;
    note([x0, y0], piece);
    note([x1, y1], piece);
  });
  const used = new Uint8Array(pieces.length);
  const rings: Corner[][] = [];
  for (let first = 0; first < pieces.length; first++) {
    if (used[first]) continue;
    used[first] = 1;
    const ring: Corner[] = [pieces[first]![0]];
    let corner = pieces[first]![1];
    for (;;) {
      ring.push(corner);
      const next = ends.get(at(corner))!.find((piece) => !used[piece]);
      if (next === undefined) break;
      used[next] = 1;
      const [a, b] = pieces[next]!;
      corner = at(a) === at(corner) ? b : a;
    }
    ring.pop(); // where it began
    rings.push(ring);
  }
  return rings;
}

/** A smooth line along the border, never farther from it than a pixel or two. */
export function outlineOf(mask: Mask): Path2D {
  const path = new Path2D();
  for (const ring of ringsOf(mask)) {
    for (let i = 0; i < ring.length; i++) {
      const [ax, ay] = ring[i]!;
      const [bx, by] = ring[(i + 1) % ring.length]!;
      const length = Math.abs(bx - ax) + Math.abs(by - ay);
      const part = Math.min(0.5, CUT / length);
      if (i === 0) path.moveTo(ax + (bx - ax) * part, ay + (by - ay) * part);
      else path.lineTo(ax + (bx - ax) * part, ay + (by - ay) * part);
      if (part < 0.5) path.lineTo(bx - (bx - ax) * part, by - (by - ay) * part);
    }
    path.closePath();
  }
  return path;
}
