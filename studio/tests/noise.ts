import { BitMask } from "../src/masks/bits";

/** A mask of many pieces with holes, always the same. */
export function noise(width: number, height: number, seed: number): BitMask {
  const bits = new BitMask(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (Math.sin(x * 1.7 + seed * 13) * Math.cos(y * 2.3 + seed) > 0.1) bits.stroke({ x: x + 0.5, y: y + 0.5 }, { x: x + 0.5, y: y + 0.5 }, 1, 1);
  }
  return bits;
}
