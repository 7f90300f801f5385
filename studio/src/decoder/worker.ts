// Decodes clicks away from the page's own thread. Only ever loaded where the line is slow.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";
import type { Preview } from "../canvas/preview";
import { type Facts, isKnown, previewOf, toModel } from "./answer";
import { type Frame, readEmbedding } from "./embedding";
import type { Order, Reply } from "./messages";

const ROOT = "/api/v1";
const [INSIDE, PADDING] = [1, -1]; // labels of points

env.wasm.numThreads = 1; // more need another kind of page, and gained nothing where they were tried
env.logLevel = "fatal"; // a decoder that fails is told by its reply

class NotHere extends Error {}

interface Photo {
  readonly image: number;
  readonly frame: Frame;
  readonly facts: Facts;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly session: InferenceSession;
}

let photo: Photo | null = null;
let started: { readonly fingerprint: string; readonly session: Promise<InferenceSession> } | null = null;
let startMs: number | null = null; // until it was told
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
    if (signal.aborted) return;
    photo = found;
    reply({ kind: "ready", image, startMs });
    startMs = null;
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
  const [bytes, session] = await Promise.all([response.arrayBuffer(), sessionOf(facts.fingerprint)]);
  const { arrays, frame } = readEmbedding(bytes);
  const feeds: Record<string, Tensor> = {};
  for (const [name, { values, shape }] of Object.entries(arrays)) feeds[name] = new Tensor("float32", values, shape);
  return { image, frame, facts, feeds, session };
}

/** One for all photos; it goes on loading when a photo is left. */
function sessionOf(fingerprint: string): Promise<InferenceSession> {
  if (started?.fingerprint !== fingerprint) {
    void started?.session.then((old) => old.release());
    started = { fingerprint, session: start(fingerprint) };
  }
  return started.session;
}

async function start(fingerprint: string): Promise<InferenceSession> {
  const graph = await (await got(`/decoder/${fingerprint}`)).arrayBuffer();
  const begun = performance.now();
  const session = await InferenceSession.create(graph, { graphOptimizationLevel: "disabled", executionProviders: ["wasm"] });
  startMs = performance.now() - begun;
  return session;
}

async function got(path: string, signal: AbortSignal | null = null): Promise<Response> {
  const response = await fetch(ROOT + path, { signal });
  if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
  return response;
}

async function look({ image, x, y }: Order & { kind: "at" }): Promise<void> {
  const begun = performance.now();
  try {
    const preview = photo?.image === image ? await previewAt(photo, x, y) : null;
    reply({ kind: "seen", preview, ms: performance.now() - begun }, preview ? [preview.values.buffer] : []);
  } catch (error) {
    reply({ kind: "failed", image, why: String(error), forGood: false });
  }
}

async function previewAt({ frame, facts, feeds, session }: Photo, x: number, y: number): Promise<Preview | null> {
  if (!(x >= 0 && y >= 0 && x <= frame.width && y <= frame.height)) return null;
  const { side, offset } = facts;
  const at = toModel({ x, y }, frame);
  const found = await session.run({
    ...feeds,
    point_coords: new Tensor("float32", [0, 0, 0, 0, at.x + offset, at.y + offset], [1, 3, 2]),
    point_labels: new Tensor("float32", [PADDING, PADDING, INSIDE], [1, 3]), // no box, one click
    mask_input: new Tensor("float32", new Float32Array(side * side), [1, 1, side, side]),
    has_mask_input: new Tensor("float32", [0], [1]),
  });
  const masks = found.low_res_masks!.data as Float32Array;
  return previewOf({ side, masks, chances: found.probability_logits!.data as Float32Array }, frame, { x, y }, facts);
}
