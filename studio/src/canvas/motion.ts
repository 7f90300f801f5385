// Motion that explains: where a view went, and what was taken back. None for those who asked their system for less.

import type { View } from "./view";

const GLIDE_MS = 180;
const FLASH_MS = 600;

export function wanted(): boolean {
  return !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** From one view to another, round the one place of the screen that shows the same in both. */
export class Glide {
  constructor(
    private readonly from: View,
    private readonly to: View,
    private readonly began: number,
  ) {}

  at(now: number): { view: View; done: boolean } {
    const { from, to } = this;
    const t = Math.min(1, Math.max(0, (now - this.began) / GLIDE_MS));
    if (t === 1) return { view: to, done: true };
    const eased = 1 - (1 - t) ** 3;
    const scale = from.scale * (to.scale / from.scale) ** eased;
    const left = from.scale === to.scale ? 1 - eased : (scale - to.scale) / (from.scale - to.scale);
    return { view: { scale, x: to.x + (from.x - to.x) * left, y: to.y + (from.y - to.y) * left }, done: false };
  }
}

/** Outlines that fade away. */
export class Flash {
  constructor(
    readonly lines: readonly Path2D[],
    private readonly began: number,
  ) {}

  /** 1 at first, 0 when it is over. */
  strength(now: number): number {
    return Math.max(0, 1 - (now - this.began) / FLASH_MS);
  }
}
