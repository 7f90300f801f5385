import { describe, expect, it } from "vitest";
import { BitMask } from "../src/masks/bits";
import { type Ring, cornerAt, edgeAt, patchOf, polygonOf, withCorner } from "../src/masks/polygon";
import { type Mask, contains, iou } from "../src/masks/rle";
import { noise } from "./noise";

function disc(radius: number, hole = 0): BitMask {
  const bits = new BitMask(200, 160);
  bits.stamp({ x: 100, y: 80 }, 2 * radius, 1);
  if (hole) bits.stamp({ x: 100, y: 80 }, 2 * hole, 0);
  return bits;
}

function filled(rings: readonly Ring[]): Mask {
  const bits = new BitMask(200, 160);
  bits.fillRings(rings, 1);
  return bits.toMask();
}

function moved(bits: BitMask, rings: readonly Ring[], ring: number, at: number, to: { x: number; y: number } | null, tolerance: number): Mask {
  const after = withCorner(rings, { ring, at }, to);
  const patch = patchOf(bits, rings[ring]!, at, after, to, tolerance)!;
  bits.paste(patch.box, patch.where, patch.value);
  return bits.toMask();
}

describe("the polygon of a mask", () => {
  it("says what the mask says, with few corners, holes too", () => {
    const mask = disc(60, 25).toMask();
    const rings = polygonOf(mask, 1);
    expect(rings).toHaveLength(2);
    expect(rings[0]!.length).toBeLessThan(60);
    expect(iou(filled(rings), mask)).toBeGreaterThan(0.97);
  });

  it("is exact for what has straight sides", () => {
    const bits = new BitMask(200, 160);
    bits.fill([{ x: 10, y: 20 }, { x: 90, y: 20 }, { x: 90, y: 100 }, { x: 10, y: 100 }], 1);
    const [ring] = polygonOf(bits.toMask(), 1);
    expect(ring).toHaveLength(4);
    expect(iou(filled([ring!]), bits.toMask())).toBe(1);
  });

  it("stays within its tolerance of any mask", () => {
    const mask = noise(60, 50, 5).toMask();
    for (const ring of polygonOf(mask, 0.75)) expect(ring.length).toBeGreaterThanOrEqual(3);
  });
});

describe("a corner", () => {
  it("that is dragged changes pixels there and nowhere else", () => {
    const bits = disc(60);
    const before = bits.toMask();
    const rings = polygonOf(before, 1.5);
    const at = rings[0]!.findIndex(({ x }) => x === Math.max(...rings[0]!.map((one) => one.x)));
    const mask = moved(bits, rings, 0, at, { x: 190, y: 80 }, 1.5);
    expect(contains(mask, 180, 80)).toBe(true);
    let far = 0;
    for (let x = 0; x < 130; x++) for (let y = 0; y < 160; y++) if (contains(mask, x, y) !== contains(before, x, y)) far += 1;
    expect(far).toBe(0);
  });

  it("that goes in leaves no sliver of the old edge", () => {
    const bits = disc(60);
    const rings = polygonOf(bits.toMask(), 1.5);
    const mask = moved(bits, rings, 0, 3, { x: 100, y: 80 }, 1.5);
    const exact = filled(withCorner(rings, { ring: 0, at: 3 }, { x: 100, y: 80 }));
    expect(iou(mask, exact)).toBeGreaterThan(0.98);
    const { x, y } = rings[0]![3]!;
    expect(contains(mask, Math.floor(x + (100 - x) * 0.08), Math.floor(y + (80 - y) * 0.08))).toBe(false);
  });

  it("that is taken away straightens the outline; the last three take their ring along", () => {
    const bits = disc(40);
    let rings: Ring[] = polygonOf(bits.toMask(), 1);
    while (rings.length) {
      const mask = moved(bits, rings, 0, 0, null, 1);
      rings = withCorner(rings, { ring: 0, at: 0 }, null);
      if (rings.length) expect(iou(mask, filled(rings))).toBeGreaterThan(0.9);
      else expect(mask.area).toBeLessThan(12);
    }
  });

  it("is found by pointing near it, and a new one by pointing at an edge", () => {
    const rings: Ring[] = [[{ x: 10, y: 10 }, { x: 50, y: 10 }, { x: 50, y: 50 }]];
    expect(cornerAt(rings, { x: 52, y: 11 }, 5)).toEqual({ ring: 0, at: 1 });
    expect(cornerAt(rings, { x: 30, y: 10 }, 5)).toBeNull();
    const edge = edgeAt(rings, { x: 30, y: 12 }, 5)!;
    expect(edge).toEqual({ corner: { ring: 0, at: 1 }, point: { x: 30, y: 10 } });
    expect(withCorner(rings, edge.corner, edge.point, true)[0]).toHaveLength(4);
  });
});
