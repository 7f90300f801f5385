// The server's quick look: a small square of bytes, 128 and more is inside. Drawn as a soft shape over the photo.

import type { Box } from "../masks/rle";
import type { Colour } from "./raster";

export interface Preview {
  readonly side: number;
  /** Rows and columns of the square that show the photo, or the part of it that was looked at, from its top left. */
  readonly inside: readonly [number, number];
  readonly shown: Box;
  readonly values: Uint8Array;
  readonly probability: number | null;
}

const LARGER = 4; // times; the border is found between the cells

export interface PreviewPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  /** Where it belongs in the photo. */
  readonly box: Box;
}

/** RGBA bytes of a preview, `LARGER` times finer than its cells, of the part that holds the mask; null: nowhere. */
export function previewPixels(preview: Preview, colour: Colour, alpha = 140): PreviewPicture | null {
  const cells = cellsOf(preview);
  if (!cells) return null;
  const [left, top] = [cells.x0 * LARGER, cells.y0 * LARGER];
  const width = Math.ceil(cells.x1 * LARGER) - left;
  const height = Math.ceil(cells.y1 * LARGER) - top;
  const data = new Uint8ClampedArray(width * height * 4);
  const { side, values } = preview;
  for (let y = 0; y < height; y++) {
    const v = Math.min(side - 1, Math.max(0, (top + y + 0.5) / LARGER - 0.5));
    const above = Math.floor(v);
    const low = Math.min(side - 1, above + 1) * side;
    const high = above * side;
    const dv = v - above;
    for (let x = 0; x < width; x++) {
      const u = Math.min(side - 1, Math.max(0, (left + x + 0.5) / LARGER - 0.5));
      const before = Math.floor(u);
      const after = Math.min(side - 1, before + 1);
      const du = u - before;
      const upper = values[high + before]! * (1 - du) + values[high + after]! * du;
      const lower = values[low + before]! * (1 - du) + values[low + after]! * du;
      const value = upper * (1 - dv) + lower * dv - 127.5;
      if (value <= 0) continue;
      const at = 4 * (y * width + x);
      data[at] = colour[0];
      data[at + 1] = colour[1];
      data[at + 2] = colour[2];
      data[at + 3] = value < 4 ? alpha + (255 - alpha) * (1 - value / 4) : alpha;
    }
  }
  return { width, height, data, box: boxOf(preview, left, top, width, height) };
}

/** The cells around those that are inside; the last ones may be parts. */
function cellsOf({ side, inside: [rows, columns], values }: Preview): Box | null {
  let [x0, y0, x1, y1] = [side, side, 0, 0];
  for (let y = 0; y < Math.min(side, Math.ceil(rows)); y++) {
    for (let x = 0; x < Math.min(side, Math.ceil(columns)); x++) {
      if (values[y * side + x]! < 128) continue;
      if (x < x0) x0 = x;
      if (x >= x1) x1 = x + 1;
      if (y < y0) y0 = y;
      y1 = y + 1;
    }
  }
  if (x1 === 0) return null;
  return { x0: Math.max(0, x0 - 1), y0: Math.max(0, y0 - 1), x1: Math.min(columns, x1 + 1), y1: Math.min(rows, y1 + 1) };
}

function boxOf({ inside: [rows, columns], shown }: Preview, left: number, top: number, width: number, height: number): Box {
  const [wide, high] = [(shown.x1 - shown.x0) / (columns * LARGER), (shown.y1 - shown.y0) / (rows * LARGER)];
  const [x0, y0] = [shown.x0 + left * wide, shown.y0 + top * high];
  return { x0, y0, x1: x0 + width * wide, y1: y0 + height * high };
}
