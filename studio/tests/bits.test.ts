import { describe, expect, it } from "vitest";
import { BitMask, partsOf } from "../src/masks/bits";
import { HitIndex } from "../src/masks/hit";
import { contains, maskFromRuns } from "../src/masks/rle";

describe("a brush", () => {
  it("paints the pixels whose centres are within its radius", () => {
    const bits = new BitMask(20, 20);
    bits.stamp({ x: 10, y: 10 }, 8, 1);
    for (let y = 0; y < 20; y++) {
      for (let x = 0; x < 20; x++) {
        const near = (x + 0.5 - 10) ** 2 + (y + 0.5 - 10) ** 2 <= 16;
        if (near) expect(bits.pixels[y * 20 + x]).toBe(1);
        else if (x !== 10 || y !== 10) expect(bits.pixels[y * 20 + x]).toBe(0);
      }
    }
  });

  it("of one pixel always marks the pixel under it", () => {
    const bits = new BitMask(5, 5);
    bits.stamp({ x: 2.99, y: 2.01 }, 1, 1);
    expect(bits.pixels[2 * 5 + 2]).toBe(1);
  });

  it("leaves no gap along a fast stroke", () => {
    const bits = new BitMask(100, 30);
    bits.stroke({ x: 5, y: 5 }, { x: 95, y: 25 }, 3, 1);
    const [only, ...others] = partsOf(bits.toMask());
    expect(others).toHaveLength(0);
    expect(only!.box.x0).toBeLessThanOrEqual(5);
    expect(only!.box.x1).toBeGreaterThanOrEqual(95);
  });

  it("over the edge of the photo stays inside", () => {
    const bits = new BitMask(10, 10);
    bits.stamp({ x: -2, y: 12 }, 12, 1);
    expect(bits.toMask().area).toBeGreaterThan(0);
  });

  it("that erases what it painted leaves nothing", () => {
    const bits = new BitMask(30, 30);
    bits.stroke({ x: 4, y: 4 }, { x: 25, y: 20 }, 6, 1);
    bits.stroke({ x: 4, y: 4 }, { x: 25, y: 20 }, 6, 0);
    expect(bits.toMask().area).toBe(0);
  });
});

describe("a lasso", () => {
  it("fills what it goes around, by the centres of pixels", () => {
    const bits = new BitMask(10, 10);
    bits.fill([{ x: 2, y: 3 }, { x: 7, y: 3 }, { x: 7, y: 8 }, { x: 2, y: 8 }], 1);
    const mask = bits.toMask();
    expect(mask.area).toBe(25);
    expect(mask.box).toEqual({ x0: 2, y0: 3, x1: 7, y1: 8 });
  });

  it("that crosses itself leaves the doubly enclosed part out", () => {
    const bits = new BitMask(12, 12);
    const star = [0, 2, 4, 1, 3].map((i) => ({ x: 6 + 5.5 * Math.sin((i * 2 * Math.PI) / 5), y: 6 - 5.5 * Math.cos((i * 2 * Math.PI) / 5) }));
    bits.fill(star, 1);
    expect(contains(bits.toMask(), 6, 6)).toBe(false);
    expect(bits.toMask().area).toBeGreaterThan(8);
  });
});

describe("parts of a mask", () => {
  it("are found with their holes, largest first, and together are the mask", () => {
    const bits = new BitMask(40, 20);
    bits.fill([{ x: 1, y: 1 }, { x: 15, y: 1 }, { x: 15, y: 15 }, { x: 1, y: 15 }], 1);
    bits.fill([{ x: 5, y: 5 }, { x: 10, y: 5 }, { x: 10, y: 10 }, { x: 5, y: 10 }], 0);
    bits.fill([{ x: 20, y: 2 }, { x: 24, y: 2 }, { x: 24, y: 6 }, { x: 20, y: 6 }], 1);
    const parts = partsOf(bits.toMask());
    expect(parts.map((part) => part.area)).toEqual([14 * 14 - 25, 16]);
    expect(contains(parts[0]!, 7, 7)).toBe(false);
  });

  it("that touch at a corner only are two", () => {
    expect(partsOf(maskFromRuns([0, 1, 2, 1], 2, 2))).toHaveLength(2);
  });
});

describe("the mask under the pointer", () => {
  it("is the smallest of those that hold the pixel", () => {
    const large = new BitMask(300, 200);
    large.fill([{ x: 10, y: 10 }, { x: 250, y: 10 }, { x: 250, y: 180 }, { x: 10, y: 180 }], 1);
    const small = new BitMask(300, 200);
    small.stamp({ x: 100, y: 100 }, 20, 1);
    const index = new HitIndex<string>();
    index.add("large", large.toMask());
    index.add("small", small.toMask());
    expect(index.at(100.7, 100.2)).toEqual(["small", "large"]);
    expect(index.at(20, 20)).toEqual(["large"]);
    expect(index.at(5, 5)).toEqual([]);
    index.remove("small");
    expect(index.at(100, 100)).toEqual(["large"]);
  });
});
