// A photo as the encoder saw it, from the server: safetensors in half precision.

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface Embedding {
  readonly arrays: Readonly<Record<string, Tensor>>;
  readonly frame: Frame;
}

/** A photo in the square of the model. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly square: number;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Throws RangeError for what is none. */
export function readEmbedding(bytes: ArrayBuffer): Embedding {
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const { __metadata__: told, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length))) as {
    __metadata__: { anymask: string };
  } & Record<string, Entry>;
  const facts = JSON.parse(told.anymask) as { size_hw: [number, number]; input_size: number };
  const arrays: Record<string, Tensor> = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries) as [string, Entry][]) {
    if (dtype !== "F16") throw new RangeError(`${name}: expected halves, got ${dtype}`);
    const [start, end] = data_offsets;
    arrays[name] = { shape, values: widened(new Uint16Array(bytes.slice(8 + length + start, 8 + length + end))) };
  }
  const [height, width] = facts.size_hw;
  return { arrays, frame: { width, height, square: facts.input_size } };
}

let wide: Float32Array | null = null; // of each half

export function widened(halves: Uint16Array): Float32Array {
  wide ??= Float32Array.from({ length: 1 << 16 }, (_, half) => valueOf(half));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = wide[halves[i]!]!;
  return values;
}

function valueOf(half: number): number {
  const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024);
}

/** Sides of the photo inside the square: the longest fills it, halves are rounded up. */
export function insideOf({ width, height, square }: Frame): { readonly wide: number; readonly high: number } {
  const scale = square / Math.max(width, height);
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.floor(side * scale + 0.5)));
  return { wide: wide!, high: high! };
}
