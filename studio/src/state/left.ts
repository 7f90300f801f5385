// Drawings that were left without a word (the back button, a link, a reload): kept by photo until the tab is closed.

import type { PhotoInfo, Rle } from "../api/types";
import { type Mask, maskFromCounts } from "../masks/rle";
import { rleOf } from "./document";

export interface Left {
  readonly mask: Mask;
  /** The stored mask that was drawn on. */
  readonly edited: string | null;
}

type Photo = Pick<PhotoInfo, "id" | "hash" | "width" | "height">;

const nameOf = (photo: Photo): string => `anymask-drawing/${photo.id}/${photo.hash}`;

export function leave(photo: Photo, left: Left | null): void {
  try {
    if (left) sessionStorage.setItem(nameOf(photo), JSON.stringify({ rle: rleOf(left.mask), edited: left.edited }));
    else sessionStorage.removeItem(nameOf(photo));
  } catch {
    // A browser that keeps nothing: the drawing goes with the page.
  }
}

/** What was left on a photo; it is there once. */
export function comeBack(photo: Photo): Left | null {
  try {
    const kept = sessionStorage.getItem(nameOf(photo));
    sessionStorage.removeItem(nameOf(photo));
    if (!kept) return null;
    const { rle, edited } = JSON.parse(kept) as { rle: Rle; edited: string | null };
    return { mask: maskFromCounts(rle.counts, photo.width, photo.height), edited };
  } catch {
    return null;
  }
}
