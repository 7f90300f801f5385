// The outline of a mask along the edges of its pixels, as pieces of straight lines for a crisp stroke at any zoom.

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

export function outlineOf(mask: Mask): Path2D {
  const path = new Path2D();
  eachEdge(mask, (x0, y0, x1, y1) => {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  });
  return path;
}
