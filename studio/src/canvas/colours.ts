// Colours of masks: apart from each other, readable over photos, the same for the same mask everywhere.

import type { Colour } from "./raster";

const PALETTE: readonly Colour[] = [
  [86, 180, 255],
  [255, 159, 64],
  [122, 220, 130],
  [255, 112, 166],
  [180, 142, 255],
  [255, 221, 87],
  [64, 224, 208],
  [255, 122, 92],
  [166, 216, 74],
  [226, 134, 240],
];

/** Masks that a model put there and nobody has looked at: calm, so that what is missing stands out. */
export const CALM: Colour = [148, 163, 196];
export const LIVE: Colour = [124, 138, 255];

export function colourOf(key: string): Colour {
  let sum = 0;
  for (let i = 0; i < key.length; i++) sum = (sum * 31 + key.charCodeAt(i)) >>> 0;
  return PALETTE[sum % PALETTE.length]!;
}

export function parseColour(text: string): Colour | null {
  const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  return found ? [parseInt(found[1]!, 16), parseInt(found[2]!, 16), parseInt(found[3]!, 16)] : null;
}

export function cssOf([red, green, blue]: Colour, alpha = 1): string {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/** A colour for the n-th class of a project. */
export function classColour(index: number): string {
  const hex = (part: number): string => part.toString(16).padStart(2, "0");
  return `#${PALETTE[index % PALETTE.length]!.map(hex).join("")}`;
}
