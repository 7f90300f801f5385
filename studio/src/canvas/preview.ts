// The server's quick look: a small square of bytes, 128 and more is inside. Drawn as a soft shape over the photo.

import type { Colour } from "./raster";

export interface Preview {
  readonly side: number;
  /** Rows and columns of the square that show the photo, from its top left. */
  readonly inside: readonly [number, number];
  readonly values: Uint8Array;
  readonly probability: number | null;
}

const LARGER = 4; // times; the border is found between the cells

/** RGBA bytes of the photo's part of a preview, `LARGER` times finer than its cells. */
export function previewPixels(preview: Preview, colour: Colour, alpha = 140): { width: number; height: number; data: Uint8ClampedArray<ArrayBuffer> } {
  const [rows, columns] = preview.inside;
  const width = Math.max(1, Math.round(columns * LARGER));
  const height = Math.max(1, Math.round(rows * LARGER));
  const data = new Uint8ClampedArray(width * height * 4);
  const { side, values } = preview;
  for (let y = 0; y < height; y++) {
    const v = Math.min(side - 1, Math.max(0, (y + 0.5) / LARGER - 0.5));
    const top = Math.floor(v);
    const low = Math.min(side - 1, top + 1) * side;
    const high = top * side;
    const dv = v - top;
    for (let x = 0; x < width; x++) {
      const u = Math.min(side - 1, Math.max(0, (x + 0.5) / LARGER - 0.5));
      const left = Math.floor(u);
      const right = Math.min(side - 1, left + 1);
      const du = u - left;
      const above = values[high + left]! * (1 - du) + values[high + right]! * du;
      const below = values[low + left]! * (1 - du) + values[low + right]! * du;
      const value = above * (1 - dv) + below * dv - 127.5;
      if (value <= 0) continue;
      const at = 4 * (y * width + x);
      data[at] = colour[0];
      data[at + 1] = colour[1];
      data[at + 2] = colour[2];
      data[at + 3] = value < 4 ? alpha + (255 - alpha) * (1 - value / 4) : alpha;
    }
  }
  return { width, height, data };
}
