// Masks to coloured pixels: straight from runs into the bytes of a picture, at any power-of-two reduction.

import { type Box, type Mask, eachStretch, intersect, isEmpty } from "../masks/rle";

/** Red, green, blue, 0 to 255. */
export type Colour = readonly [number, number, number];

export interface Painted {
  readonly mask: Mask;
  readonly colour: Colour;
  /** Alpha of the inside, 0 to 255. The border is always opaque. */
  readonly fill: number;
}

export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/**
 * Paints masks, in their order, into the part of a picture that shows `region` of the photo.
 *
 * One pixel of the picture stands for `step` x `step` of the photo, of which the middle one is asked.
 * `origin` is the photo's pixel at the picture's top left, a multiple of `step`. What was there before goes.
 * `lines`, a picture of the same size, gets the borders alone.
 */
export function paintRegion(
  picture: Raster,
  origin: { x: number; y: number },
  step: number,
  region: Box,
  masks: Iterable<Painted>,
  lines: Raster | null = null,
): Box {
  const target = {
    x0: Math.max(0, Math.floor((region.x0 - origin.x) / step)),
    y0: Math.max(0, Math.floor((region.y0 - origin.y) / step)),
    x1: Math.min(picture.width, Math.ceil((region.x1 - origin.x) / step)),
    y1: Math.min(picture.height, Math.ceil((region.y1 - origin.y) / step)),
  };
  if (isEmpty(target)) return target;
  clear(picture, target);
  if (lines) clear(lines, target);
  for (const painted of masks) paint(picture, origin, step, target, painted, lines);
  return target;
}

function clear(picture: Raster, box: Box): void {
  for (let y = box.y0; y < box.y1; y++) {
    picture.data.fill(0, 4 * (y * picture.width + box.x0), 4 * (y * picture.width + box.x1));
  }
}

function paint(
  picture: Raster,
  origin: { x: number; y: number },
  step: number,
  target: Box,
  painted: Painted,
  lines: Raster | null,
): void {
  const { box } = painted.mask;
  const mine = intersect(target, {
    x0: Math.floor((box.x0 - origin.x) / step),
    y0: Math.floor((box.y0 - origin.y) / step),
    x1: Math.ceil((box.x1 - origin.x) / step),
    y1: Math.ceil((box.y1 - origin.y) / step),
  });
  if (isEmpty(mine)) return;
  const inside = sampled(painted.mask, origin, step, mine);
  const stride = mine.x1 - mine.x0 + 2;
  const solid = wordOf(painted.colour, 255);
  const inner = wordOf(painted.colour, painted.fill);
  const words = wordsOf(picture);
  const lined = lines && wordsOf(lines);
  for (let y = mine.y0; y < mine.y1; y++) {
    let from = (y - mine.y0 + 1) * stride + 1;
    let to = y * picture.width + mine.x0;
    for (let x = mine.x0; x < mine.x1; x++, from++, to++) {
      if (!inside[from]) continue;
      if (!inside[from - 1] || !inside[from + 1] || !inside[from - stride] || !inside[from + stride]) {
        words[to] = solid;
        if (lined) lined[to] = solid;
      } else if (words[to] === 0) words[to] = inner;
      else over(picture.data, 4 * to, painted.colour, painted.fill);
    }
  }
}

/** A pixel at once: every browser of today runs on machines that keep the lowest byte, red, first. */
function wordsOf({ data }: Raster): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset, data.length >> 2);
}

function wordOf([red, green, blue]: Colour, alpha: number): number {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function over(data: Uint8ClampedArray, at: number, [red, green, blue]: Colour, alpha: number): void {
  const a = alpha / 255;
  const b = (data[at + 3]! / 255) * (1 - a);
  const sum = a + b;
  if (sum === 0) return;
  data[at] = (red * a + data[at]! * b) / sum;
  data[at + 1] = (green * a + data[at + 1]! * b) / sum;
  data[at + 2] = (blue * a + data[at + 2]! * b) / sum;
  data[at + 3] = sum * 255;
}

let room = new Uint8Array(0);

/** Ones where the picture's pixels lie in the mask, with a ring of one pixel around, so that borders are right. */
function sampled(mask: Mask, origin: { x: number; y: number }, step: number, box: Box): Uint8Array {
  const stride = box.x1 - box.x0 + 2;
  const size = stride * (box.y1 - box.y0 + 2);
  if (room.length < size) room = new Uint8Array(size);
  else room.fill(0, 0, size);
  const middle = step >> 1;
  const [left, top] = [origin.x + middle + (box.x0 - 1) * step, origin.y + middle + (box.y0 - 1) * step];
  const first = left < 0 ? 1 : 0;
  const region = {
    x0: left + first * step,
    y0: Math.max(0, top),
    x1: Math.min(mask.width, left + stride * step),
    y1: Math.min(mask.height, origin.y + (box.y1 + 1) * step),
  };
  if (isEmpty(region)) return room;
  eachStretch(mask, region, step, (x, y0, y1) => {
    const column = (x - left) / step;
    const last = Math.min(box.y1 - box.y0 + 1, Math.floor((y1 - 1 - top) / step));
    for (let row = Math.max(0, Math.ceil((y0 - top) / step)); row <= last; row++) room[row * stride + column] = 1;
  });
  return room;
}
