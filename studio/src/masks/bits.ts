// A mask that is being drawn: one byte a pixel, rows first, so that brushes are fast. Turned into runs when a stroke ends.

import { type Box, type Mask, NO_BOX, around, eachStretch, intersect, maskFromEnds } from "./rle";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export class BitMask {
  readonly pixels: Uint8Array;
  /** Everything that is set lies in here; only this is looked at when runs are made. */
  private used: Box = NO_BOX;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.pixels = new Uint8Array(width * height);
  }

  static of(mask: Mask): BitMask {
    const bits = new BitMask(mask.width, mask.height);
    bits.used = mask.box;
    eachStretch(mask, mask.box, 1, (x, y0, y1) => {
      for (let y = y0, at = y0 * mask.width + x; y < y1; y++, at += mask.width) bits.pixels[at] = 1;
    });
    return bits;
  }

  get frame(): Box {
    return { x0: 0, y0: 0, x1: this.width, y1: this.height };
  }

  /** Paints (1) or erases (0) a disc of a diameter in pixels around a point; gives the box that may have changed. */
  stamp(at: Point, diameter: number, value: 0 | 1): Box {
    return this.stroke(at, at, diameter, value);
  }

  /** The same along a line: a pixel belongs to it when its centre is within the radius. */
  stroke(from: Point, to: Point, diameter: number, value: 0 | 1): Box {
    const radius = Math.max(diameter, 1) / 2;
    const box = intersect(this.frame, {
      x0: Math.floor(Math.min(from.x, to.x) - radius),
      y0: Math.floor(Math.min(from.y, to.y) - radius),
      x1: Math.ceil(Math.max(from.x, to.x) + radius) + 1,
      y1: Math.ceil(Math.max(from.y, to.y) + radius) + 1,
    });
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length2 = dx * dx + dy * dy;
    for (let y = box.y0; y < box.y1; y++) {
      for (let x = box.x0; x < box.x1; x++) {
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const t = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
        const [ex, ey] = [px - t * dx, py - t * dy];
        if (ex * ex + ey * ey <= radius * radius) this.pixels[y * this.width + x] = value;
      }
    }
    // The pixel under the pointer always, or the thinnest brush would miss between centres.
    for (const { x, y } of [from, to]) this.set(Math.floor(x), Math.floor(y), value);
    if (value) this.used = around(this.used, box);
    return box;
  }

  /** Fills a closed polygon by the even-odd rule: a pixel is inside when its centre is. */
  fill(corners: readonly Point[], value: 0 | 1): Box {
    return corners.length < 3 ? NO_BOX : this.fillRings([corners], value);
  }

  /** The same for several closed polygons at once: one inside of another is a hole. */
  fillRings(rings: readonly (readonly Point[])[], value: 0 | 1): Box {
    let [top, bottom] = [this.height, 0];
    for (const ring of rings) for (const { y } of ring) [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    const first = Math.max(0, Math.ceil(top - 0.5));
    const last = Math.min(this.height - 1, Math.floor(bottom - 0.5));
    let box = NO_BOX;
    for (let y = first; y <= last; y++) {
      const crossings = rings.flatMap((ring) => crossingsOf(ring, y + 0.5)).sort((a, b) => a - b);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        const x0 = Math.max(0, Math.ceil(crossings[i]! - 0.5));
        const x1 = Math.min(this.width, Math.ceil(crossings[i + 1]! - 0.5));
        if (x0 >= x1) continue;
        this.pixels.fill(value, y * this.width + x0, y * this.width + x1);
        box = around(box, { x0, y0: y, x1, y1: y + 1 });
      }
    }
    if (value) this.used = around(this.used, box);
    return box;
  }

  /** Takes pixels of another mask that begins at (`box.x0`, `box.y0`), where `where` has ones. */
  paste(box: Box, where: BitMask, from: BitMask): void {
    for (let y = 0, at = 0; y < where.height; y++) {
      for (let x = 0; x < where.width; x++, at++) {
        if (where.pixels[at]) this.pixels[(box.y0 + y) * this.width + box.x0 + x] = from.pixels[at]!;
      }
    }
    this.used = around(this.used, box);
  }

  set(x: number, y: number, value: 0 | 1): void {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.pixels[y * this.width + x] = value;
  }

  toMask(): Mask {
    const { width, height, pixels, used } = this;
    const ends: number[] = [];
    for (let x = used.x0; x < used.x1; x++) {
      let inside = 0;
      for (let y = used.y0, at = y * width + x; y < used.y1; y++, at += width) {
        if (pixels[at] === inside) continue;
        push(ends, x * height + y);
        inside = pixels[at]!;
      }
      if (inside) push(ends, x * height + used.y1);
    }
    if (ends[ends.length - 1] !== width * height) ends.push(width * height);
    return maskFromEnds(Uint32Array.from(ends), width, height);
  }
}

/** Adds where a run ends; a run that goes on in the next column is one. */
function push(ends: number[], position: number): void {
  if (ends[ends.length - 1] === position) ends.pop();
  else ends.push(position);
}

function crossingsOf(corners: readonly Point[], y: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < corners.length; i++) {
    const a = corners[i]!;
    const b = corners[(i + 1) % corners.length]!;
    if (a.y <= y === b.y <= y) continue;
    found.push(a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x));
  }
  return found;
}

/** The connected parts of a mask (4-neighbours), largest first. */
export function partsOf(mask: Mask): Mask[] {
  const stretches: { x: number; y0: number; y1: number; root: number }[] = [];
  const rootOf = (i: number): number => {
    while (stretches[i]!.root !== i) i = stretches[i]!.root = stretches[stretches[i]!.root]!.root;
    return i;
  };
  let [before, column, x] = [0, 0, -1]; // where the previous and this column begin
  eachStretch(mask, mask.box, 1, (at, y0, y1) => {
    if (at !== x) {
      before = at === x + 1 ? column : stretches.length;
      column = stretches.length;
      x = at;
    }
    const mine = stretches.push({ x: at, y0, y1, root: stretches.length }) - 1;
    for (let i = before; i < column; i++) {
      const other = stretches[i]!;
      if (other.y0 < y1 && y0 < other.y1) stretches[rootOf(i)]!.root = rootOf(mine);
    }
  });
  const parts = new Map<number, number[]>();
  stretches.forEach((stretch, i) => {
    const root = rootOf(i);
    const ends = parts.get(root) ?? [];
    const start = stretch.x * mask.height + stretch.y0;
    const end = start + stretch.y1 - stretch.y0;
    if (ends.length && ends[ends.length - 1] === start) ends[ends.length - 1] = end;
    else ends.push(start, end);
    parts.set(root, ends);
  });
  const whole = mask.width * mask.height;
  return [...parts.values()]
    .map((ends) => (ends[ends.length - 1] === whole ? ends : [...ends, whole]))
    .map((ends) => maskFromEnds(Uint32Array.from(ends), mask.width, mask.height))
    .sort((a, b) => b.area - a.area);
}
