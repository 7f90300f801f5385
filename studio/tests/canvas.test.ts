import { describe, expect, it } from "vitest";
import { eachEdge, ringsOf } from "../src/canvas/outline";
import { paintRegion } from "../src/canvas/raster";
import { stepFor } from "../src/canvas/tiles";
import { fit, kept, panned, toPhoto, toScreen, zoomAt } from "../src/canvas/view";
import { contains } from "../src/masks/rle";
import { noise } from "./noise";

describe("the view", () => {
  const photo = { width: 4000, height: 3000 };
  const screen = { width: 1400, height: 900 };

  it("keeps the place under the pointer when it zooms, and places come back the way they went", () => {
    let view = fit(photo, screen);
    for (let i = 0; i < 500; i++) {
      const at = { x: (i * 37) % 1400, y: (i * 53) % 900 };
      const before = toPhoto(view, at);
      view = zoomAt(view, at, i % 3 ? 1.21 : 0.7, 0.05);
      const after = toPhoto(view, at);
      expect(after.x).toBeCloseTo(before.x, 6);
      expect(after.y).toBeCloseTo(before.y, 6);
      const back = toScreen(view, toPhoto(view, at));
      expect(back.x).toBeCloseTo(at.x, 6);
      view = panned(view, (i % 7) - 3, (i % 5) - 2);
    }
  });

  it("shows the whole photo between the panels", () => {
    const view = fit(photo, screen, { left: 60, right: 280, top: 60, bottom: 0 });
    const [from, to] = [toScreen(view, { x: 0, y: 0 }), toScreen(view, { x: 4000, y: 3000 })];
    expect(from.x).toBeGreaterThanOrEqual(60);
    expect(from.y).toBeGreaterThanOrEqual(60);
    expect(to.x).toBeLessThanOrEqual(1120);
    expect(to.y).toBeLessThanOrEqual(900);
  });

  it("never loses the photo", () => {
    const view = kept({ scale: 1, x: 99999, y: -99999 }, photo, screen);
    expect(view.x).toBeLessThan(1400);
    expect(view.y + 3000).toBeGreaterThan(0);
  });
});

describe("tiles", () => {
  it("are as fine as the screen shows", () => {
    expect([2, 1, 0.6, 0.5, 0.26, 0.25, 0.1].map(stepFor)).toEqual([1, 1, 1, 2, 2, 4, 8]);
  });

  it("show each mask where it is and leave the rest clear", () => {
    const mask = noise(50, 40, 3).toMask();
    const picture = { width: 50, height: 40, data: new Uint8ClampedArray(50 * 40 * 4) };
    paintRegion(picture, { x: 0, y: 0 }, 1, { x0: 0, y0: 0, x1: 50, y1: 40 }, [{ mask, colour: [10, 20, 30], fill: 100 }]);
    for (let y = 0; y < 40; y++) {
      for (let x = 0; x < 50; x++) expect(picture.data[4 * (y * 50 + x) + 3]! > 0).toBe(contains(mask, x, y));
    }
  });

  it("paint the borders alone beside the areas: as areas without an inside would be", () => {
    const masks = [1, 2, 3].map((seed) => {
      const bits = noise(60, 40, seed);
      bits.fill([{ x: 8 * seed, y: 5 }, { x: 8 * seed + 20, y: 5 }, { x: 8 * seed + 20, y: 30 }, { x: 8 * seed, y: 30 }], 1);
      return { mask: bits.toMask(), colour: [seed * 50, 90, 10] as const, fill: 120 };
    });
    const blank = (): Uint8ClampedArray => new Uint8ClampedArray(60 * 40 * 4).fill(9);
    const [areas, lines, hollow] = [blank(), blank(), blank()].map((data) => ({ width: 60, height: 40, data }));
    const region = { x0: 0, y0: 0, x1: 60, y1: 40 };
    paintRegion(areas!, { x: 0, y: 0 }, 1, region, masks, lines);
    paintRegion(hollow!, { x: 0, y: 0 }, 1, region, masks.map((one) => ({ ...one, fill: 0 })));
    const opaque = (picture: { data: Uint8ClampedArray }): number[] => [...picture.data].map((value, i) => (picture.data[i | 3] ? value : 0));
    expect(opaque(lines!)).toEqual(opaque(hollow!));
    expect(lines!.data).not.toEqual(areas!.data);
  });

  it("painted again in a part are the same as painted at once, at any reduction", () => {
    const masks = [1, 2, 3].map((seed) => ({ mask: noise(96, 80, seed).toMask(), colour: [seed * 50, 90, 10] as const, fill: 120 }));
    for (const step of [1, 2, 4]) {
      const size = { width: 96 / step, height: 80 / step };
      const whole = { ...size, data: new Uint8ClampedArray(size.width * size.height * 4) };
      const parts = { ...size, data: new Uint8ClampedArray(size.width * size.height * 4).fill(77) };
      paintRegion(whole, { x: 0, y: 0 }, step, { x0: 0, y0: 0, x1: 96, y1: 80 }, masks);
      for (const x0 of [0, 16, 40, 64]) {
        const x1 = x0 === 0 ? 16 : x0 === 16 ? 40 : x0 === 40 ? 64 : 96;
        for (const y0 of [0, 40]) paintRegion(parts, { x: 0, y: 0 }, step, { x0, y0, x1, y1: y0 + 40 }, masks);
      }
      expect(parts.data).toEqual(whole.data);
    }
  });
});

describe("outlines", () => {
  it("go around every pixel that has a neighbour outside, holes too, and close", () => {
    const mask = noise(30, 30, 4).toMask();
    let length = 0;
    eachEdge(mask, (x0, y0, x1, y1) => (length += Math.abs(x1 - x0) + Math.abs(y1 - y0)));
    let edges = 0;
    for (let x = 0; x < 30; x++) {
      for (let y = 0; y < 30; y++) {
        if (!contains(mask, x, y)) continue;
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) if (!contains(mask, x + dx, y + dy)) edges += 1;
      }
    }
    expect(length).toBe(edges);
    for (const ring of ringsOf(mask)) {
      ring.forEach(([x, y], i) => {
        const [nx, ny] = ring[(i + 1) % ring.length]!;
        expect(x === nx || y === ny).toBe(true);
      });
    }
  });
});
