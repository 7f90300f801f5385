// From what the decoder says about one click to the preview: probabilities, then the steps on the model's card, as
// `anymask.predict` has them (constraints.py, diversify.py). Its tests and ours share their examples.

import type { Preview } from "../canvas/preview";
import type { Point } from "../masks/bits";
import { type Frame, insideOf } from "./embedding";

/** What the server tells of a model with each embedding. */
export interface Facts {
  /** Of the weights: names their decoder. */
  readonly fingerprint: string;
  /** Of the masks, in cells. */
  readonly side: number;
  readonly offset: number;
  readonly temperature: number;
  readonly postprocess: readonly string[];
}

/** Logits of four masks of side x side cells, one after the other, and of five chances: the fifth is "none of these". */
export interface Decoded {
  readonly side: number;
  readonly masks: Float32Array;
  readonly chances: Float32Array;
}

interface Candidate {
  readonly logits: Float32Array;
  readonly probability: number;
}

interface Asked {
  readonly side: number;
  readonly frame: Frame;
  /** The click, in the square of the model. */
  readonly at: Point;
}

const SEVERAL = [1, 2, 3]; // the masks of a click alone; the first is for what is clear
const NONE = 4;
const CLICK_LOGIT = 0.5;
const CLICK_RADIUS = 1.25;
const NEAR_DUPLICATE_IOU = 0.8;
const PREVIEW_STEPS = 8; // of a byte to one logit

type Step = (candidates: Candidate[], asked: Asked) => Candidate[];

const STEPS: Readonly<Record<string, Step>> = {
  extend_to_edges: (candidates, asked) => each(candidates, (logits) => extendToEdges(logits, asked)),
  clip_to_box: (candidates) => candidates, // there is no box
  keep_clicked_component: (candidates, asked) => each(candidates, (logits) => keepClicked(logits, asked)),
  enforce_clicks: (candidates, asked) => each(candidates, (logits) => enforceClick(logits, asked)),
  merge_near_duplicates: (candidates) => mergeNearDuplicates(candidates),
};

export function isKnown({ postprocess }: Facts): boolean {
  return postprocess.every((name) => name in STEPS);
}

export function toModel({ x, y }: Point, frame: Frame): Point {
  const { wide, high } = insideOf(frame);
  return { x: Math.fround(x * (wide / frame.width)), y: Math.fround(y * (high / frame.height)) };
}

/** The best candidate of a click at `point` of the photo, with a byte for each cell. */
export function previewOf(decoded: Decoded, frame: Frame, point: Point, facts: Facts): Preview {
  const { side } = decoded;
  const asked = { side, frame, at: toModel(point, frame) };
  let candidates = candidatesOf(decoded, facts.temperature);
  for (const name of facts.postprocess) candidates = STEPS[name]!(candidates, asked);
  const { logits, probability } = candidates[0]!;
  const cells = side / frame.square;
  const { wide, high } = insideOf(frame);
  return {
    side,
    inside: [high * cells, wide * cells],
    shown: { x0: 0, y0: 0, x1: frame.width, y1: frame.height },
    values: Uint8Array.from(logits, (logit) => Math.min(255, Math.max(0, Math.ceil(logit * PREVIEW_STEPS) + 127))),
    probability,
  };
}

function candidatesOf({ side, masks, chances }: Decoded, temperature: number): Candidate[] {
  const used = [...SEVERAL, NONE].map((slot) => chances[slot]!);
  const largest = Math.max(...used);
  const powers = used.map((logit) => Math.exp((logit - largest) / temperature));
  const sum = powers.reduce((all, one) => all + one, 0);
  const cells = side * side;
  return byProbability(
    SEVERAL.map((slot, i) => ({
      logits: masks.slice(slot * cells, (slot + 1) * cells),
      probability: Math.fround(powers[i]! / sum),
    })),
  );
}

function byProbability(candidates: Candidate[]): Candidate[] {
  return candidates.sort((a, b) => b.probability - a.probability); // equal ones keep their order
}

/** Changes logits in place: they are ours. */
function each(candidates: Candidate[], change: (logits: Float32Array) => void): Candidate[] {
  for (const { logits } of candidates) change(logits);
  return candidates;
}

/** Cells that are padding say what the last whole ones before them do, as far as drawing reads. */
function extendToEdges(logits: Float32Array, { side, frame }: Asked): void {
  const { wide, high } = insideOf(frame);
  const rows = lastCells(side, frame.height, high, frame.square);
  for (let y = rows.whole; y < rows.stop; y++) logits.copyWithin(y * side, (rows.whole - 1) * side, rows.whole * side);
  const columns = lastCells(side, frame.width, wide, frame.square);
  for (let start = 0; start < logits.length; start += side) {
    logits.fill(logits[start + columns.whole - 1]!, start + columns.whole, start + Math.max(columns.whole, columns.stop));
  }
}

function lastCells(side: number, image: number, model: number, square: number): { whole: number; stop: number } {
  const pixel = Math.min(before(model, image, image - 1) + 1, model - 1);
  return { whole: Math.max(1, Math.floor((model * side) / square)), stop: Math.min(before(side, square, pixel) + 1, side - 1) + 1 };
}

/** Of `size` cells the one before the middle of a new one, where they are resized to `newSize`. */
function before(size: number, newSize: number, at: number): number {
  const scale = Math.fround(Math.fround(size) / Math.fround(newSize));
  return Math.min(Math.floor(Math.max(0, Math.fround(scale * (at + 0.5) - 0.5))), size - 1);
}

/** What is not connected with the cell under the click is as sure to be outside. */
function keepClicked(logits: Float32Array, { side, frame, at }: Asked): void {
  const cell = (value: number): number => Math.floor(Math.min(side - 1, Math.max(0, value * (side / frame.square))));
  const start = cell(at.y) * side + cell(at.x);
  if (!(logits[start]! > 0)) return;
  const reached = new Uint8Array(logits.length);
  const waiting = [start];
  reached[start] = 1;
  while (waiting.length) {
    const here = waiting.pop()!;
    const x = here % side;
    for (let row = here - side; row <= here + side; row += side) {
      if (row < 0 || row >= logits.length) continue;
      for (let dx = x > 0 ? -1 : 0; dx <= (x < side - 1 ? 1 : 0); dx++) {
        const next = row + dx;
        if (reached[next] || !(logits[next]! > 0)) continue;
        reached[next] = 1;
        waiting.push(next);
      }
    }
  }
  for (let i = 0; i < logits.length; i++) if (!reached[i] && logits[i]! > 0) logits[i] = -logits[i]!;
}

/** At the click the mask says yes. */
function enforceClick(logits: Float32Array, { side, frame, at }: Asked): void {
  const place = (value: number): number => Math.min(side - 1, Math.max(0, value * (side / frame.square) - 0.5));
  const [x, y] = [place(at.x), place(at.y)];
  if (between(logits, side, x, y) >= CLICK_LOGIT) return;
  const [x0, x1] = [Math.max(0, Math.ceil(x - CLICK_RADIUS)), Math.min(side - 1, Math.floor(x + CLICK_RADIUS))];
  const [y0, y1] = [Math.max(0, Math.ceil(y - CLICK_RADIUS)), Math.min(side - 1, Math.floor(y + CLICK_RADIUS))];
  for (let row = y0; row <= y1; row++) {
    for (let i = row * side + x0; i <= row * side + x1; i++) logits[i] = Math.max(logits[i]!, CLICK_LOGIT);
  }
}

function between(logits: Float32Array, side: number, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [dx, dy] = [x - left, y - top];
  const [right, low] = [Math.min(side - 1, left + 1), Math.min(side - 1, top + 1)];
  const line = (row: number): number => logits[row * side + left]! * (1 - dx) + logits[row * side + right]! * dx;
  return line(top) * (1 - dy) + line(low) * dy;
}

/** The most probable of those that are alike, with the sum of their probabilities. */
function mergeNearDuplicates(candidates: Candidate[]): Candidate[] {
  const kept: Candidate[] = [];
  for (const one of candidates) {
    const home = kept.findIndex((other) => iou(one.logits, other.logits) >= NEAR_DUPLICATE_IOU);
    if (home < 0) kept.push(one);
    else kept[home] = { logits: kept[home]!.logits, probability: kept[home]!.probability + one.probability };
  }
  return byProbability(kept);
}

function iou(a: Float32Array, b: Float32Array): number {
  let [both, either] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const [inA, inB] = [a[i]! > 0, b[i]! > 0];
    if (inA && inB) both++;
    if (inA || inB) either++;
  }
  return either ? both / either : 1;
}
