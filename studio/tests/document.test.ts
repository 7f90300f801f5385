import { describe, expect, it } from "vitest";
import type { Op } from "../src/api/types";
import { BitMask } from "../src/masks/bits";
import { type Mask, maskFromRuns } from "../src/masks/rle";
import { type Item, MaskDocument, itemOf, originOf, rleOf } from "../src/state/document";

let made = 0;
function item(x: number): Item {
  const bits = new BitMask(60, 40);
  bits.stamp({ x, y: 20 }, 8, 1);
  const mask = bits.toMask();
  return itemOf({ uid: `uid${++made}`, rle: rleOf(mask), category: null }, mask, "manual", "ada");
}

/** What the server would have: uids of now, after the operations in their order. */
class Server {
  readonly now = new Set<string>();
  readonly ever = new Set<string>();
  apply(operations: readonly Op[]): void {
    for (const one of operations) {
      if (one.op === "add") this.put(one.mask.uid);
      else if (one.op === "delete") expect(this.now.delete(one.uid)).toBe(true);
      else if (one.op === "restore") {
        expect(this.ever.has(one.uid)).toBe(true);
        expect(this.now.has(one.uid)).toBe(false);
        this.put(one.new_uid);
      }
    }
  }
  private put(uid: string): void {
    expect(this.ever.has(uid)).toBe(false); // a uid is never used twice
    this.now.add(uid);
    this.ever.add(uid);
  }
}

describe("undo and redo", () => {
  it("keep page and server the same through a thousand random actions", () => {
    const document = new MaskDocument(60, 40);
    const server = new Server();
    let random = 7;
    const next = (n: number): number => (random = (random * 48271) % 2147483647) % n;
    for (let i = 0; i < 1000; i++) {
      const what = next(5);
      if (what < 2) {
        const fresh = item(5 + next(50));
        server.apply(document.add("add", [fresh], [{ op: "add", mask: { uid: fresh.uid, rle: rleOf(fresh.mask), category: null } }]).operations);
      } else if (what === 2 && document.size) {
        const one = document.items[next(document.size)]!;
        server.apply(document.add("delete", [], [{ op: "delete", uid: document.uidOf(one.key) }], [one]).operations);
      } else server.apply((what === 3 ? document.undo() : document.redo())?.operations ?? []);
      expect(new Set(document.items.map((one) => document.uidOf(one.key)))).toEqual(server.now);
    }
  });

  it("bring back exactly what was there", () => {
    const document = new MaskDocument(60, 40);
    const [a, b] = [item(10), item(30)];
    document.add("add", [a], []);
    document.add("add", [b], []);
    document.add("delete", [], [], [a]);
    expect(document.items).toEqual([b]);
    document.undo();
    expect(new Set(document.items)).toEqual(new Set([a, b]));
    expect(document.at(10, 20)).toEqual([a]);
    document.undo();
    document.undo();
    expect(document.size).toBe(0);
    expect(document.canUndo).toBe(false);
    document.redo();
    document.redo();
    document.redo();
    expect(document.items).toEqual([b]);
  });

  it("forget what was undone once something new is done", () => {
    const document = new MaskDocument(60, 40);
    document.add("add", [item(10)], []);
    document.undo();
    document.add("add", [item(20)], []);
    expect(document.canRedo).toBe(false);
  });
});

describe("masks of the server", () => {
  it("that somebody else put there appear, those that are gone disappear, ours stay", () => {
    const document = new MaskDocument(60, 40);
    const [mine, theirs] = [item(10), item(40)];
    document.add("add", [mine], []);
    document.load([{ facts: mine, mask: mine.mask }, { facts: theirs, mask: theirs.mask }]);
    expect(document.size).toBe(2);
    document.load([{ facts: theirs, mask: theirs.mask }]);
    expect(document.items.map((one) => one.uid)).toEqual([theirs.uid]);
  });
});

describe("a mask that is there already", () => {
  it("is found when it is of the same class, nearly the same and not deleted", () => {
    const document = new MaskDocument(60, 40);
    const [a, b] = [item(10), { ...item(30), category: "cat" }];
    document.add("add", [a, b], []);
    const bits = BitMask.of(a.mask);
    bits.set(10, 20, 0);
    expect(document.twin(bits.toMask(), null)).toBe(a);
    expect(document.twin(bits.toMask(), "cat")).toBeUndefined();
    expect(document.twin(b.mask, "cat")).toBe(b);
    expect(document.twin(item(11).mask, null)).toBeUndefined();
    document.undo();
    expect(document.twin(a.mask, null)).toBeUndefined();
  });

  it("is looked for among 5,000 within a frame", () => {
    const document = new MaskDocument(4000, 3000);
    const disc = (i: number): Mask => {
      const [runs, height] = [[] as number[], 3000];
      const first = ((i % 100) * 40 + 5) * height + Math.floor(i / 100) * 60 + 5;
      for (let x = 0; x < 30; x++) runs.push(x ? height - 40 : first, 40);
      return maskFromRuns([...runs, 4000 * height - runs.reduce((sum, run) => sum + run, 0)], 4000, height);
    };
    const masks = Array.from({ length: 5000 }, (_, i) => disc(i));
    document.add("add", masks.map((mask, i) => itemOf({ uid: `m${i}`, rle: { size: [3000, 4000], counts: "" }, category: null }, mask, "manual", "ada")), []);
    const began = performance.now();
    for (let i = 0; i < 20; i++) expect(document.twin(masks[4999 - i]!, null)?.uid).toBe(`m${4999 - i}`);
    expect((performance.now() - began) / 20).toBeLessThan(16);
  });
});

describe("a mask that is edited", () => {
  const edited = (of: Item): Item => itemOf({ uid: `uid${++made}`, rle: rleOf(of.mask), category: null }, of.mask, "manual", "ada", of);

  it("keeps its origin and its place in the list, edited again, undone and deleted too", () => {
    const document = new MaskDocument(60, 40);
    const [a, b, c] = [item(10), item(30), item(50)];
    for (const one of [a, b, c]) document.add("add", [one], []);
    const once = edited(a);
    document.add("edit", [once], [], [a]);
    const twice = edited(once);
    document.add("edit", [twice], [], [once]);
    expect(document.items).toEqual([twice, b, c]);
    expect(originOf(twice)).toBe(a.uid);
    document.undo();
    expect(document.items).toEqual([once, b, c]);
    document.add("delete", [], [], [b]);
    document.undo();
    expect(document.items).toEqual([once, b, c]);
  });

  it("has the origin that the server knows after a reload", () => {
    const document = new MaskDocument(60, 40);
    const [{ key: _, mask, ...facts }] = [item(10)];
    document.load([{ facts: { ...facts, origin: "oldest" }, mask }]);
    const [loaded] = document.items;
    expect(originOf(edited(loaded!))).toBe("oldest");
  });
});
