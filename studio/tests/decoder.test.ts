import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isKnown, previewOf } from "../src/decoder/answer";
import { Decoder } from "../src/decoder/decoder";
import { readEmbedding, widened } from "../src/decoder/embedding";
import { Line } from "../src/decoder/line";
import { NearestLook } from "../src/decoder/look";
import type { Order, Reply } from "../src/decoder/messages";

interface Example {
  photo: [number, number];
  click: [number, number];
  temperature: number;
  masks: number[];
  chances: number[];
  preview: { inside: [number, number]; shown: [number, number, number, number]; probability: number; values: number[] };
}

// Written by tests/support/decoder_examples.py with what the server does.
const EXAMPLES = JSON.parse(readFileSync(new URL("./clicks.json", import.meta.url), "utf8")) as Example[];
const STEPS = ["extend_to_edges", "clip_to_box", "keep_clicked_component", "enforce_clicks", "merge_near_duplicates"];
const [SIDE, SQUARE, UNIT] = [12, 24, 16];

describe("a preview that is decoded in the browser", () => {
  it.each(EXAMPLES)("is the server's, of a photo of $photo clicked at $click", (example) => {
    const [width, height] = example.photo;
    const decoded = {
      side: SIDE,
      masks: Float32Array.from(example.masks, (one) => one / UNIT),
      chances: Float32Array.from(example.chances),
    };
    const facts = { fingerprint: "", side: SIDE, offset: 0, temperature: example.temperature, postprocess: STEPS };
    const [x, y] = example.click;
    const found = previewOf(decoded, { width, height, square: SQUARE }, { x, y }, facts);
    const { x0, y0, x1, y1 } = found.shown;
    expect([...found.values]).toEqual(example.preview.values);
    expect(found.inside).toEqual(example.preview.inside);
    expect([x0, y0, x1, y1]).toEqual(example.preview.shown);
    expect(found.probability).toBeCloseTo(example.preview.probability, 5);
    expect(found.side).toBe(SIDE);
  });

  it("is not tried where a model's card asks for a step that the page does not know", () => {
    const facts = { fingerprint: "", side: SIDE, offset: 0, temperature: 1, postprocess: STEPS };
    expect(isKnown(facts)).toBe(true);
    expect(isKnown({ ...facts, postprocess: [...STEPS, "sharpen"] })).toBe(false);
  });
});

describe("the embedding of a photo", () => {
  it("is widened from half precision", () => {
    const halves = Uint16Array.of(0x0000, 0x8000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x7c00);
    expect([...widened(halves)]).toEqual([0, -0, 1, -2, 0.333251953125, 65504, 2 ** -24, Infinity]);
  });

  it("is read with the size of the photo", () => {
    const told = JSON.stringify({ size_hw: [30, 48], input_size: 24 });
    const entry = { dtype: "F16", shape: [1, 2], data_offsets: [0, 4] };
    const header = new TextEncoder().encode(JSON.stringify({ __metadata__: { anymask: told }, skip_2: entry }));
    const bytes = new Uint8Array(8 + header.length + 4);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(header, 8);
    bytes.set([0x00, 0x3c, 0x00, 0xc0], 8 + header.length);
    const found = readEmbedding(bytes.buffer);
    expect(found.frame).toEqual({ width: 48, height: 30, square: 24 });
    expect([...found.arrays.skip_2!.values]).toEqual([1, -2]);
    expect(found.arrays.skip_2!.shape).toEqual([1, 2]);
  });
});

describe("which of the two answers", () => {
  const after = (server: readonly [number, number][], here: readonly number[] = []): Line => {
    const line = new Line();
    for (const [whole, own] of server) line.answered(whole, own);
    for (const ms of here) line.decoded(ms);
    return line;
  };
  const times = (count: number, whole: number, own = 30): [number, number][] => Array.from({ length: count }, () => [whole, own]);

  it("is the server until five previews say that the line is slow", () => {
    expect(after(times(4, 900)).isSlow).toBe(false);
    expect(after(times(5, 900)).isSlow).toBe(true);
    expect(after(times(5, 900)).isHereSooner).toBe(true);
    expect(after(times(5, 80)).isSlow).toBe(false);
  });
  it("is the server when it is busy rather than far", () => {
    expect(after(times(5, 900, 850)).isSlow).toBe(false);
  });
  it("is not changed by one hiccup", () => {
    expect(after([...times(3, 80), ...times(2, 2_000)]).isSlow).toBe(false);
    expect(after([...times(3, 600), ...times(2, 60)]).isSlow).toBe(true);
  });
  it("is the server again when decoding here takes longer, or the line is quick again", () => {
    expect(after(times(5, 400), Array(5).fill(700) as number[]).isHereSooner).toBe(false);
    expect(after(times(5, 400), Array(5).fill(120) as number[]).isHereSooner).toBe(true);
    expect(after([...times(5, 400), ...times(3, 60)], Array(5).fill(120) as number[]).isSlow).toBe(false);
  });
});

describe("a look on a slow line", () => {
  const preview = { side: 1, inside: [1, 1] as const, shown: { x0: 0, y0: 0, x1: 1, y1: 1 }, values: Uint8Array.of(200), probability: 1 };
  const workers: FakeWorker[] = [];
  let previews = 0; // that the server was asked for

  class FakeWorker {
    onmessage: (event: { data: Reply }) => void = () => {};
    readonly heard: Order[] = [];
    isOver = false;
    constructor() {
      workers.push(this);
    }
    postMessage(order: Order): void {
      this.heard.push(order);
      if (order.kind === "at") this.say({ kind: "seen", preview, ms: 90 });
    }
    say(data: Reply): void {
      this.onmessage({ data });
    }
    terminate(): void {
      this.isOver = true;
    }
  }

  function slowLook(image: number, decoder: Decoder): NearestLook {
    vi.stubGlobal("Worker", FakeWorker);
    vi.stubGlobal("fetch", async () => {
      previews++;
      const headers = { "X-Side": "1", "X-Inside": "1,1", "X-Shown": "0,0,1,1", "Server-Timing": "look;dur=30" };
      return new Response(Uint8Array.of(9), { headers });
    });
    const line = new Line();
    for (let i = 0; i < 5; i++) line.answered(900, 30);
    vi.spyOn(line, "answered").mockImplementation(() => {}); // it stays slow
    return new NearestLook(image, "page", { line, decoder });
  }

  afterEach(() => {
    vi.unstubAllGlobals();
    workers.length = previews = 0;
  });

  it("comes from the server until the decoder is ready for the photo, and for a part of a photo", async () => {
    const look = slowLook(7, new Decoder());
    expect(await look.at({ x: 0, y: 0 }, null)).toMatchObject({ values: Uint8Array.of(9) });
    expect(workers[0]!.heard).toEqual([{ kind: "open", image: 7 }]);
    workers[0]!.say({ kind: "ready", image: 7, startMs: 1_000 });
    expect(await look.at({ x: 0, y: 0 }, null)).toBe(preview);
    expect(previews).toBe(1);
    expect(await look.at({ x: 0, y: 0 }, { x0: 0, y0: 0, x1: 9, y1: 9 })).toMatchObject({ values: Uint8Array.of(9) });
  });

  it("comes from the server when the decoder fails; with the next photo it is tried again, unless in vain for good", async () => {
    const decoder = new Decoder();
    const first = slowLook(1, decoder);
    await first.at({ x: 0, y: 0 }, null);
    workers[0]!.say({ kind: "failed", image: 1, why: "no line", forGood: false });
    expect(await first.at({ x: 0, y: 0 }, null)).toMatchObject({ values: Uint8Array.of(9) });
    expect(workers[0]!.isOver).toBe(true);
    expect(workers).toHaveLength(1);
    await slowLook(2, decoder).at({ x: 0, y: 0 }, null);
    expect(workers).toHaveLength(2);
    workers[1]!.say({ kind: "failed", image: 2, why: "another model", forGood: true });
    expect(await slowLook(3, decoder).at({ x: 0, y: 0 }, null)).toMatchObject({ values: Uint8Array.of(9) });
    expect(workers).toHaveLength(2);
    expect(previews).toBe(4);
  });

  it("of a photo that was left is not shown for the next", async () => {
    const decoder = new Decoder();
    await slowLook(1, decoder).at({ x: 0, y: 0 }, null);
    const second = slowLook(2, decoder);
    await second.at({ x: 0, y: 0 }, null);
    workers[0]!.say({ kind: "ready", image: 1, startMs: 1 });
    expect(await second.at({ x: 0, y: 0 }, null)).toMatchObject({ values: Uint8Array.of(9) });
  });

  it("of a model that is no longer in use is not shown: the decoder begins anew", async () => {
    const decoder = new Decoder();
    const look = slowLook(1, decoder);
    await look.at({ x: 0, y: 0 }, null);
    workers[0]!.say({ kind: "ready", image: 1, startMs: 1 });
    decoder.forget();
    expect(await look.at({ x: 0, y: 0 }, null)).toMatchObject({ values: Uint8Array.of(9) });
    expect(workers[0]!.heard.filter((order) => order.kind === "open")).toHaveLength(2);
  });
});
