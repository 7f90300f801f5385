// The classes of the project as somebody writes them: what has to be put right before they can be kept.

import { parseColour } from "../canvas/colours";
import type { Colour } from "../canvas/raster";
import type { Word } from "../i18n/index.svelte";

export interface Fix {
  /** Which row, from 0. */
  readonly at: number;
  readonly word: Extract<Word, "settings.noname" | "settings.twice">;
  readonly name: string;
}

export function nameOf(one: { readonly name: string }): string {
  return one.name.trim().normalize();
}

/** The first row without a name, or with one that is there already. */
export function toFix(classes: readonly { readonly name: string }[]): Fix | null {
  const names = classes.map(nameOf);
  for (const [at, name] of names.entries()) {
    if (!name) return { at, word: "settings.noname", name };
    if (names.indexOf(name) < at) return { at, word: "settings.twice", name };
  }
  return null;
}

/** The colour that the project has given a class; null for what is none, or has none. */
export function colourIn(classes: readonly { readonly name: string; readonly color: string }[], name: string | null): Colour | null {
  const known = classes.find((one) => one.name === name);
  return known ? parseColour(known.color) : null;
}
