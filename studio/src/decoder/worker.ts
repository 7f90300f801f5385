// Decodes clicks away from the page's own thread. Only ever loaded where the line is slow.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";
import { type Facts, isKnown, previewOf, toModel } from "./answer";
import { type Embedding, readEmbedding } from "./embedding";
import type { Order, Reply } from "./messages";

const ROOT = "/api/v1";
const [INSIDE, PADDING] = [1, -1]; // labels of points

env.wasm.numThreads = 1; // more need another kind of page, and gained nothing where they were tried
env.logLevel = "fatal"; // a decoder that fails is told by its reply

class NotHere extends Error {}

interface Photo {
  readonly image: number;
  readonly embedding: Embedding;
  readonly facts: Facts;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

let photo: Photo | null = null;
let session: { readonly fingerprint: string; readonly decodes: InferenceSession } | null = null;
let leaving = new AbortController();

self.onmessage = ({ data }: MessageEvent<Order>) => {
  if (data.kind === "at") void look(data);
  else void open(data.image);
};

function reply(message: Reply, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

async function open(image: number): Promise<void> {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  photo = null;
  try {
    const found = await photoOf(image, signal);
    const startMs = await start(found.embedding.fingerprint, signal);
    if (signal.aborted) return;
    photo = found;
    reply({ kind: "ready", image, startMs });
  } catch (error) {
    const forGood = error instanceof NotHere || !("WebAssembly" in self);
    if (!signal.aborted) reply({ kind: "failed", image, why: String(error), forGood });
  }
}

async function photoOf(image: number, signal: AbortSignal): Promise<Photo> {
  const response = await got(`/images/${image}/embedding`, signal);
  const told = response.headers.get("X-Decoder");
  const facts = told === null ? null : (JSON.parse(told) as Facts);
  if (!facts || !isKnown(facts)) throw new NotHere("a model that only the server can ask");
  const embedding = readEmbedding(await response.arrayBuffer());
  const feeds: Record<string, Tensor> = {};
  for (const [name, { values, shape }] of Object.entries(embedding.arrays)) feeds[name] = new Tensor("float32", values, shape);
  return { image, embedding, facts, feeds };
}

/** Milliseconds of making the decoder ready, without its way here; null: it was. */
async function start(fingerprint: string, signal: AbortSignal): Promise<number | null> {
  if (session?.fingerprint === fingerprint) return null;
  const graph = await (await got(`/decoder/${fingerprint}`, signal)).arrayBuffer();
  const begun = performance.now();
  const decodes = await InferenceSession.create(graph, { graphOptimizationLevel: "disabled", executionProviders: ["wasm"] });
  session = { fingerprint, decodes };
  return performance.now() - begun;
}

async function got(path: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(ROOT + path, { signal });
  if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
  return response;
}

async function look({ image, x, y }: Order & { kind: "at" }): Promise<void> {
  const begun = performance.now();
  const asked = photo?.image === image ? photo : null;
  try {
    const preview = asked && session ? await decoded(session.decodes, asked, x, y) : null;
    reply({ kind: "seen", preview, ms: performance.now() - begun }, preview ? [preview.values.buffer] : []);
  } catch (error) {
    reply({ kind: "failed", image, why: String(error), forGood: false });
  }
}

async function decoded(decodes: InferenceSession, { embedding, facts, feeds }: Photo, x: number, y: number) {
  const { frame } = embedding;
  if (!(x >= 0 && y >= 0 && x <= frame.width && y <= frame.height)) return null;
  const at = toModel({ x, y }, frame);
  const side = facts.side;
  const found = await decodes.run({
    ...feeds,
    point_coords: new Tensor("float32", [0, 0, 0, 0, at.x + facts.offset, at.y + facts.offset], [1, 3, 2]),
    point_labels: new Tensor("float32", [PADDING, PADDING, INSIDE], [1, 3]), // no box, one click
    mask_input: new Tensor("float32", new Float32Array(side * side), [1, 1, side, side]),
    has_mask_input: new Tensor("float32", [0], [1]),
  });
  const masks = found.low_res_masks!.data as Float32Array;
  return previewOf({ side, masks, chances: found.probability_logits!.data as Float32Array }, frame, { x, y }, facts);
}
