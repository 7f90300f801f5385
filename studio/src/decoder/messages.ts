// Between the page and the worker that decodes.

import type { Preview } from "../canvas/preview";

export type Order =
  | { readonly kind: "open"; readonly image: number }
  | { readonly kind: "at"; readonly image: number; readonly x: number; readonly y: number };

export type Reply =
  /** `startMs`: of making the decoder ready, once; null: it was. */
  | { readonly kind: "ready"; readonly image: number; readonly startMs: number | null }
  /** `forGood`: the model is none that a page can ask, or the browser none that can. */
  | { readonly kind: "failed"; readonly image: number; readonly why: string; readonly forGood: boolean }
  | { readonly kind: "seen"; readonly preview: Preview | null; readonly ms: number };
