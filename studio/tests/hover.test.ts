import { afterEach, describe, expect, it, vi } from "vitest";
import { type Preview, previewPixels } from "../src/canvas/preview";
import { closeUp } from "../src/canvas/view";
import { Hover } from "../src/state/hover";

const asked: { seq: number; view?: number[] }[] = [];
const answer = (): Response =>
  new Response(new Uint8Array(16), {
    headers: { "X-Side": "4", "X-Inside": "3,4", "X-Shown": "0,0,40,30", "X-Probability": "0.9" },
  });
afterEach(() => {
  vi.unstubAllGlobals();
  asked.length = 0;
});

function listen(): void {
  vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
    const body = JSON.parse(init.body as string) as { seq: number; prompt: { view?: number[] } };
    asked.push({ seq: body.seq, ...(body.prompt.view ? { view: body.prompt.view } : {}) });
    return answer();
  });
}

describe("the preview under the pointer", () => {
  it("is numbered on from photo to photo: the server answers only the newest question of a page", async () => {
    listen();
    const seen: (Preview | null)[] = [];
    for (const photo of [1, 2]) {
      const hover = new Hover(photo, "page", () => null, (preview) => seen.push(preview), () => {});
      for (let move = 1; move <= 3; move++) {
        hover.at({ x: move, y: move });
        await vi.waitFor(() => expect(seen).toHaveLength(3 * (photo - 1) + move));
      }
      hover.close();
    }
    const numbers = asked.map((one) => one.seq);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(6);
  });

  it("is asked for in the part of a large photo that is on the screen", async () => {
    listen();
    const hover = new Hover(1, "page", () => ({ x0: 0, y0: 512, x1: 1024, y1: 1536 }), () => {}, () => {});
    hover.at({ x: 10, y: 600 });
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    expect(asked[0]!.view).toEqual([0, 512, 1024, 1536]);
  });

  it("is drawn where its cells are, and nowhere when none is inside", () => {
    const values = new Uint8Array(16);
    const preview: Preview = { side: 4, inside: [4, 4], shown: { x0: 100, y0: 200, x1: 140, y1: 240 }, values, probability: 1 };
    expect(previewPixels(preview, [255, 0, 0])).toBeNull();
    values[2 * 4 + 3] = 255; // the third row, the last cell
    const { box, width, height, data } = previewPixels(preview, [255, 0, 0])!;
    expect(box).toEqual({ x0: 120, y0: 210, x1: 140, y1: 240 });
    expect([width, height]).toEqual([8, 12]);
    const at = (x: number, y: number): number => data[4 * (y * width + x) + 3]!;
    expect(at(6, 6)).toBeGreaterThan(0);
    expect(at(0, 0)).toBe(0);
  });
});

describe("what of a photo a model looks at alone", () => {
  const photo = { width: 10_000, height: 8_000 };
  it("is what the screen shows and a little more, the same after a small move", () => {
    const seen = { x0: 3000, y0: 2000, x1: 4600, y1: 2900 };
    const near = closeUp(photo, seen)!;
    expect(near.x0).toBeLessThanOrEqual(3000);
    expect(near.x1).toBeGreaterThanOrEqual(4600);
    expect(near.x1 - near.x0).toBeLessThan(1600 * 1.4);
    expect(closeUp(photo, { x0: 3060, y0: 2020, x1: 4600, y1: 2920 })).toEqual(near);
  });
  it("is never less than the model sees, and stays in the photo", () => {
    const near = closeUp(photo, { x0: 9990, y0: 0, x1: 10_000, y1: 8 })!;
    expect(near.x1).toBe(10_000);
    expect(near.y0).toBe(0);
    expect(near.x1 - near.x0).toBeGreaterThanOrEqual(250);
  });
  it("is all of a small photo, or of one that is shown whole", () => {
    expect(closeUp({ width: 1600, height: 1200 }, { x0: 0, y0: 0, x1: 300, y1: 300 })).toBeNull();
    expect(closeUp(photo, { x0: 0, y0: 0, x1: 10_000, y1: 8_000 })).toBeNull();
  });
});
