// The outline of a mask as corners that can be moved. A view: pixels stay the truth, and change only where corners did.

import { ringsOf } from "../canvas/outline";
import { BitMask, type Point } from "./bits";
import { type Box, type Mask, intersect, isEmpty } from "./rle";

export type Ring = readonly Point[];

/** One corner of one ring. */
export interface Corner {
  readonly ring: number;
  readonly at: number;
}

/** Closed rings, holes too, never farther from the border of the mask than `tolerance` pixels. */
export function polygonOf(mask: Mask, tolerance: number): Ring[] {
  return ringsOf(mask).map((ring) => simplified(ring.map(([x, y]) => ({ x, y })), tolerance));
}

/** The ring with as few of its corners as the tolerance allows, at least three (Douglas and Peucker, 1973). */
export function simplified(ring: Ring, tolerance: number): Ring {
  for (let least = tolerance; least > 0.2 && ring.length > 3; least /= 2) {
    const kept = keptOf(ring, least);
    if (kept.length >= 3) return kept;
  }
  return ring;
}

function keptOf(ring: Ring, tolerance: number): Point[] {
  const keep = new Uint8Array(ring.length);
  const half = farthest(ring, 0, ring.length, ring[0]!, ring[0]!).at;
  keep[0] = keep[half] = 1;
  const open: [number, number][] = [[0, half], [half, ring.length]];
  for (let span = open.pop(); span; span = open.pop()) {
    const [from, to] = span;
    const { at, distance } = farthest(ring, from + 1, to, ring[from]!, ring[to % ring.length]!);
    if (distance <= tolerance) continue;
    keep[at] = 1;
    open.push([from, at], [at, to]);
  }
  return ring.filter((_, i) => keep[i]);
}

function farthest(ring: Ring, from: number, to: number, a: Point, b: Point): { at: number; distance: number } {
  let [at, distance] = [from, -1];
  for (let i = from; i < to; i++) {
    const d = distanceTo(ring[i]!, a, b);
    if (d > distance) [at, distance] = [i, d];
  }
  return { at, distance };
}

function nearestOn(at: Point, a: Point, b: Point): Point {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length2 = dx * dx + dy * dy;
  const t = length2 ? Math.min(1, Math.max(0, ((at.x - a.x) * dx + (at.y - a.y) * dy) / length2)) : 0;
  return { x: a.x + t * dx, y: a.y + t * dy };
}

function distanceTo(at: Point, a: Point, b: Point): number {
  const on = nearestOn(at, a, b);
  return Math.hypot(at.x - on.x, at.y - on.y);
}

/** The corner nearest to a place, within reach. */
export function cornerAt(rings: readonly Ring[], place: Point, reach: number): Corner | null {
  let [found, least]: [Corner | null, number] = [null, reach];
  rings.forEach((corners, ring) =>
    corners.forEach(({ x, y }, at) => {
      const d = Math.hypot(x - place.x, y - place.y);
      if (d <= least) [found, least] = [{ ring, at }, d];
    }),
  );
  return found;
}

/** Where on an edge a new corner would lie: `corner` is the one it would be. */
export function edgeAt(rings: readonly Ring[], place: Point, reach: number): { corner: Corner; point: Point } | null {
  let [found, least]: [{ corner: Corner; point: Point } | null, number] = [null, reach];
  rings.forEach((corners, ring) =>
    corners.forEach((a, at) => {
      const point = nearestOn(place, a, corners[(at + 1) % corners.length]!);
      const d = Math.hypot(point.x - place.x, point.y - place.y);
      if (d <= least) [found, least] = [{ corner: { ring, at: at + 1 }, point }, d];
    }),
  );
  return found;
}

/** With one corner moved or added (`insert`), or taken away (null); a ring of fewer than three goes. */
export function withCorner(rings: readonly Ring[], { ring, at }: Corner, point: Point | null, insert = false): Ring[] {
  return rings
    .map((corners, i) => (i === ring ? corners.toSpliced(at, insert ? 0 : 1, ...(point ? [point] : [])) : corners))
    .filter((corners) => corners.length >= 3);
}

export interface Patch {
  readonly box: Box;
  /** Ones where pixels are decided anew; as large as the box. */
  readonly where: BitMask;
  readonly value: BitMask;
}

/** The pixels that another shape of one ring decides: between its old and new edges, and as near as they were inexact. */
export function patchOf(size: { width: number; height: number }, before: Ring, corner: number, rings: readonly Ring[], to: Point | null, tolerance: number): Patch | null {
  const near = (by: number): Point => before[(corner + by + before.length) % before.length]!;
  const old = [near(-1), near(0), near(1)];
  const fresh = to ? [near(-1), to, near(1)] : [near(-1), near(1)];
  const reach = tolerance + 1.5;
  const all = [...old, ...fresh, ...(rings.length && before.length > 3 ? [] : before)];
  const box = intersect({ x0: 0, y0: 0, x1: size.width, y1: size.height }, {
    x0: Math.floor(Math.min(...all.map(({ x }) => x)) - reach),
    y0: Math.floor(Math.min(...all.map(({ y }) => y)) - reach),
    x1: Math.ceil(Math.max(...all.map(({ x }) => x)) + reach),
    y1: Math.ceil(Math.max(...all.map(({ y }) => y)) + reach),
  });
  if (isEmpty(box)) return null;
  const moved = (ring: Ring): Ring => ring.map(({ x, y }) => ({ x: x - box.x0, y: y - box.y0 }));
  const where = new BitMask(box.x1 - box.x0, box.y1 - box.y0);
  const value = new BitMask(box.x1 - box.x0, box.y1 - box.y0);
  for (const line of [moved(old), moved(fresh)]) {
    where.fill(line, 1);
    line.slice(1).forEach((point, i) => where.stroke(line[i]!, point, 2 * reach, 1));
  }
  if (before.length <= 3 && !to) where.fill(moved(before), 1);
  value.fillRings(rings.map(moved), 1);
  return { box, where, value };
}
