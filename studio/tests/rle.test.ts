import { describe, expect, it } from "vitest";
import { alike, contains, countsOf, eachStretch, iou, maskFromCounts, maskFromRuns, packCounts, union, unpackCounts } from "../src/masks/rle";
import { BitMask } from "../src/masks/bits";
import { noise } from "./noise";

// Made with the reference library: rleEncode of a 5 x 4 (w x h) picture with a 2 x 2 block at x 1, y 1.
const BLOCK = "52207";

describe("run lengths", () => {
  it("are unpacked from the string that the reference library writes and packed into it again", () => {
    const runs = unpackCounts(BLOCK);
    expect(runs).toEqual([5, 2, 2, 2, 5 + 4]);
    expect(packCounts(runs)).toBe(BLOCK);
    expect(countsOf(maskFromRuns(runs, 5, 4))).toBe(BLOCK);
  });

  it("survive packing whatever they are", () => {
    for (let seed = 1; seed < 200; seed++) {
      const runs = Array.from({ length: 1 + (seed % 17) }, (_, i) => Math.floor(Math.abs(Math.sin(seed * 31 + i * 7)) ** 3 * 2 ** (seed % 24)));
      expect(unpackCounts(packCounts(runs))).toEqual(runs);
    }
  });

  it("that are no run lengths are refused", () => {
    expect(() => unpackCounts("~~~ ")).toThrow(RangeError);
    expect(() => maskFromCounts(packCounts([3, 2]), 5, 4)).toThrow(/5 pixels in a photo of 5 x 4/);
  });

  it("tell the box and the area, also when a run goes over the end of a column", () => {
    const mask = maskFromRuns([3, 4, 13], 5, 4);
    expect(mask.box).toEqual({ x0: 0, y0: 0, x1: 2, y1: 4 });
    expect(mask.area).toBe(4);
    expect(contains(mask, 0, 3)).toBe(true);
    expect(contains(mask, 1, 2)).toBe(true);
    expect(contains(mask, 1, 3)).toBe(false);
  });

  it("of nothing have an empty box", () => {
    expect(maskFromRuns([20], 5, 4).box).toEqual({ x0: 0, y0: 0, x1: 0, y1: 0 });
  });
});

describe("masks", () => {
  it("hold exactly the pixels that were set", () => {
    const bits = noise(23, 17, 5);
    const mask = bits.toMask();
    const back = maskFromCounts(countsOf(mask), 23, 17);
    for (let y = 0; y < 17; y++) for (let x = 0; x < 23; x++) expect(contains(back, x, y)).toBe(bits.pixels[y * 23 + x] === 1);
    expect(BitMask.of(back).pixels).toEqual(bits.pixels);
  });

  it("are alike exactly when their IoU says so", () => {
    const discs = Array.from({ length: 40 }, (_, i) => {
      const bits = new BitMask(60, 50);
      bits.stamp({ x: 25 + (i % 5) * 2, y: 25 + (i % 3) }, 10 + (i % 8), 1);
      return bits.toMask();
    });
    const empty = maskFromRuns([3000], 60, 50);
    for (const a of [...discs, empty]) {
      for (const b of [...discs, empty]) for (const least of [0.3, 0.8, 0.95, 1]) expect(alike(a, b, least)).toBe(iou(a, b) >= least);
    }
  });

  it("are united and compared without losing a pixel", () => {
    const [a, b] = [noise(31, 12, 1), noise(31, 12, 2)];
    const either = a.pixels.map((bit, i) => bit | b.pixels[i]!);
    const both = a.pixels.map((bit, i) => bit & b.pixels[i]!);
    const sum = (bits: Uint8Array): number => bits.reduce((n, bit) => n + bit, 0);
    expect(BitMask.of(union([a.toMask(), b.toMask()])).pixels).toEqual(either);
    expect(iou(a.toMask(), b.toMask())).toBeCloseTo(sum(both) / sum(either), 12);
  });

  it("give their stretches within a region only", () => {
    const mask = maskFromRuns([0, 20], 5, 4);
    const found: number[][] = [];
    eachStretch(mask, { x0: 1, y0: 1, x1: 4, y1: 3 }, 2, (x, y0, y1) => found.push([x, y0, y1]));
    expect(found).toEqual([[1, 1, 3], [3, 1, 3]]);
  });
});
