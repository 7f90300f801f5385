import { describe, expect, it } from "vitest";
import type { MaskBytes } from "../src/api/client";
import type { Compared } from "../src/api/types";
import { leftmost, rightmost } from "../src/canvas/differences";
import { maskFromRuns } from "../src/masks/rle";
import { differenceAt, readRoute, routeOf, sideBySide } from "../src/state/comparison";

const SIZE = { width: 20, height: 10 };

/** A mask of whole columns. */
function columns(uid: string, from: number, to: number, category: string | null = null): MaskBytes["masks"][number] {
  const runs = Uint32Array.from([from * 10, (to - from) * 10, (SIZE.width - to) * 10]);
  return { uid, category, runs, author: "", stage: "manual", round: 0, model: null, probability: null, seconds: null, parent: null, origin: null, verdict: null, area: (to - from) * 10 };
}

function told(facts: Partial<Compared>): Compared {
  const image = { ...SIZE, id: 1 } as unknown as Compared["image"];
  return { image, people: [], layers: [0, 1], agreement: 0.5, pairs: [], only_a: [], only_b: [], ...facts };
}

const a = { revision: 1, masks: [columns("1", 0, 4, "cat"), columns("2", 6, 8), columns("3", 10, 12), columns("4", 14, 20)] };
const b = { revision: 1, masks: [columns("x", 0, 4, "dog"), columns("y", 6, 9), columns("z", 10, 12), columns("w", 0, 20)] };
const facts = told({
  pairs: [
    { a: "1", b: "x", iou: 1, differs: ["class"] },
    { a: "2", b: "y", iou: 0.67, differs: ["borders"] },
    { a: "3", b: "z", iou: 1, differs: [] },
  ],
  only_a: ["4"],
  only_b: ["w"],
});

describe("two people's masks", () => {
  it("are put side by side: what one has alone first, the largest before the others, then borders, then classes", () => {
    const { differences, agreed } = sideBySide(facts, a, b);
    expect(differences.map((one) => one.kinds[0])).toEqual(["only_b", "only_a", "borders", "class"]);
    expect(differences[2]!.box).toEqual({ x0: 6, y0: 0, x1: 9, y1: 10 });
    expect([differences[3]!.a!.category, differences[3]!.b!.category]).toEqual(["cat", "dog"]);
    expect(agreed.map((one) => one.a.box.x0)).toEqual([10]);
  });

  it("that changed since the comparison are left out", () => {
    const { differences, agreed } = sideBySide(facts, { revision: 2, masks: [] }, { revision: 2, masks: [] });
    expect([differences, agreed]).toEqual([[], []]);
  });

  it("are found under the pointer, the smallest first", () => {
    const { differences } = sideBySide(facts, a, b);
    expect(differenceAt(differences, 15.5, 5)!.kinds).toEqual(["only_a"]);
    expect(differenceAt(differences, 5, 5)!.kinds).toEqual(["only_b"]);
    expect(differenceAt(differences.slice(1), 5, 5)).toBeUndefined();
  });
});

describe("the letters of two people", () => {
  it("lie where a mask begins and where it ends", () => {
    const runs = [12, 3, 7, 5, 173]; // column 1 from row 2 to 5, column 2 from row 2 to 7
    const mask = maskFromRuns(runs, SIZE.width, SIZE.height);
    expect(leftmost(mask)).toEqual({ x: 1, y: 3.5 });
    expect(rightmost(mask)).toEqual({ x: 3, y: 4.5 });
    const full = maskFromRuns([0, 200], SIZE.width, SIZE.height);
    expect([leftmost(full).x, rightmost(full).x]).toEqual([0, 20]);
  });
});

describe("the address of a comparison", () => {
  it("names the photo and both layers, or the photo alone", () => {
    const photo = { image: { id: 12 }, layers: [0, 2] } as unknown as Parameters<typeof routeOf>[0];
    expect(readRoute(routeOf(photo))).toEqual({ image: 12, layers: [0, 2] });
    expect(readRoute("7")).toEqual({ image: 7, layers: null });
  });
});
