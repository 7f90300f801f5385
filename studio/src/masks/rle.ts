// Masks as run lengths in the COCO convention: column-major, zeros first, counts packed into a string.

export interface Box {
  /** Half-open pixel box: x0 <= x < x1, y0 <= y < y1. */
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** One mask of a photo: a value. `ends[i]` is the column-major position where run i ends; odd runs are inside. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly ends: Uint32Array;
  readonly box: Box;
  readonly area: number;
}

export const NO_BOX: Box = { x0: 0, y0: 0, x1: 0, y1: 0 };

/** Run lengths of a packed COCO string. Throws RangeError for text that is none. */
export function unpackCounts(text: string): number[] {
  const counts: number[] = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const code = text.charCodeAt(at) - 48;
      if (!(code >= 0 && code < 64) || shift > 30) throw new RangeError(`no run lengths at character ${at}`);
      value |= (code & 0x1f) << shift;
      more = (code & 0x20) !== 0;
      at += 1;
      shift += 5;
      if (!more && code & 0x10 && shift < 32) value |= -1 << shift;
    }
    if (counts.length > 2) value += counts[counts.length - 2]!;
    if (value < 0) throw new RangeError(`a run of ${value} pixels`);
    counts.push(value);
  }
  return counts;
}

/** The packed COCO string of run lengths. */
export function packCounts(counts: ArrayLike<number>): string {
  const codes: number[] = [];
  for (let i = 0; i < counts.length; i++) {
    let value = counts[i]! - (i > 2 ? counts[i - 2]! : 0);
    for (;;) {
      const code = value & 0x1f;
      value >>= 5;
      const more = code & 0x10 ? value !== -1 : value !== 0;
      codes.push((more ? code | 0x20 : code) + 48);
      if (!more) break;
    }
  }
  let text = "";
  for (let i = 0; i < codes.length; i += 8192) text += String.fromCharCode(...codes.slice(i, i + 8192));
  return text;
}

/** A mask from its packed counts. Throws RangeError when the runs do not cover the photo exactly. */
export function maskFromCounts(text: string, width: number, height: number): Mask {
  return maskFromRuns(unpackCounts(text), width, height);
}

export function maskFromRuns(counts: ArrayLike<number>, width: number, height: number): Mask {
  const ends = new Uint32Array(counts.length);
  let end = 0;
  for (let i = 0; i < counts.length; i++) {
    end += counts[i]!;
    ends[i] = end;
  }
  if (end !== width * height) throw new RangeError(`runs of ${end} pixels in a photo of ${width} x ${height}`);
  return maskFromEnds(ends, width, height);
}

export function maskFromEnds(ends: Uint32Array, width: number, height: number): Mask {
  let [x0, y0, x1, y1, area] = [width, height, 0, 0, 0];
  for (let i = 1; i < ends.length; i += 2) {
    const start = ends[i - 1]!;
    const end = ends[i]!;
    if (end === start) continue;
    area += end - start;
    const first = Math.floor(start / height);
    const last = Math.floor((end - 1) / height);
    if (first < x0) x0 = first;
    if (last >= x1) x1 = last + 1;
    if (first === last) {
      y0 = Math.min(y0, start - first * height);
      y1 = Math.max(y1, end - first * height);
    } else {
      y0 = 0; // a run over the end of a column touches the first and the last row
      y1 = height;
    }
  }
  return { width, height, ends, area, box: area ? { x0, y0, x1, y1 } : NO_BOX };
}

export function countsOf(mask: Mask): string {
  return packCounts(mask.ends.map((end, i) => end - (i ? mask.ends[i - 1]! : 0)));
}

/** The first run that ends after `position`. */
export function runAt(ends: Uint32Array, position: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle]! > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function contains(mask: Mask, x: number, y: number): boolean {
  const { x0, y0, x1, y1 } = mask.box;
  if (x < x0 || x >= x1 || y < y0 || y >= y1) return false;
  return (runAt(mask.ends, x * mask.height + y) & 1) === 1;
}

/** Calls `each(x, y0, y1)` for every stretch of the mask in a column of the region. */
export function eachStretch(
  mask: Mask,
  region: Box,
  step: number,
  each: (x: number, y0: number, y1: number) => void,
): void {
  const { ends, height } = mask;
  let run = -1;
  for (let x = region.x0; x < region.x1; x += step) {
    const from = x * height + region.y0;
    const to = x * height + region.y1;
    if (run < 0) run = runAt(ends, from);
    while (run < ends.length && ends[run]! <= from) run += 1;
    for (let i = run; i < ends.length; i++) {
      const start = i ? ends[i - 1]! : 0;
      if (start >= to) break;
      if (i & 1) each(x, Math.max(start, from) - x * height, Math.min(ends[i]!, to) - x * height);
    }
  }
}

export function intersect(a: Box, b: Box): Box {
  const box = {
    x0: Math.max(a.x0, b.x0),
    y0: Math.max(a.y0, b.y0),
    x1: Math.min(a.x1, b.x1),
    y1: Math.min(a.y1, b.y1),
  };
  return box.x0 < box.x1 && box.y0 < box.y1 ? box : NO_BOX;
}

export function isEmpty(box: Box): boolean {
  return box.x1 <= box.x0 || box.y1 <= box.y0;
}

export function around(a: Box, b: Box): Box {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  return { x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0), x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1) };
}

/** Share of the pixels of either that both have. */
export function iou(a: Mask, b: Mask): number {
  let both = 0;
  let [i, j, at] = [0, 0, 0];
  const end = a.width * a.height;
  while (at < end) {
    while (a.ends[i]! <= at) i += 1;
    while (b.ends[j]! <= at) j += 1;
    const next = Math.min(a.ends[i]!, b.ends[j]!);
    if (i & 1 && j & 1) both += next - at;
    at = next;
  }
  const either = a.area + b.area - both;
  return either ? both / either : 0;
}

/** Whether the IoU of two masks is at least this; their runs are read only where boxes and areas allow it. */
export function alike(a: Mask, b: Mask, least: number): boolean {
  const enough = least * Math.max(a.area, b.area);
  if (Math.min(a.area, b.area) < enough) return false;
  const { x0, y0, x1, y1 } = intersect(a.box, b.box);
  return (x1 - x0) * (y1 - y0) >= enough && iou(a, b) >= least;
}

/** Union of masks of one photo. */
export function union(masks: readonly Mask[]): Mask {
  const [first] = masks;
  if (!first) throw new RangeError("a union of no masks");
  const edges: [number, number][] = [];
  for (const { ends } of masks) {
    for (let i = 1; i < ends.length; i += 2) if (ends[i]! > ends[i - 1]!) edges.push([ends[i - 1]!, ends[i]!]);
  }
  edges.sort((a, b) => a[0] - b[0]);
  const ends: number[] = [];
  for (const [start, end] of edges) {
    if (ends.length && start <= ends[ends.length - 1]!) ends[ends.length - 1] = Math.max(ends[ends.length - 1]!, end);
    else ends.push(start, end);
  }
  const whole = first.width * first.height;
  if (!ends.length || ends[ends.length - 1] !== whole) ends.push(whole);
  return maskFromEnds(Uint32Array.from(ends), first.width, first.height);
}
