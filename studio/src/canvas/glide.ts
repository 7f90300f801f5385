// Moves the view of a photo there in a moment, so that the eye can follow.

import type { Stage } from "./stage";
import type { View } from "./view";

const TAKES_MS = 260;

/** Gives what stops it. */
export function glide(stage: Stage, to: View): () => void {
  const from = stage.view;
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
    stage.look(to, true);
    return () => {};
  }
  let frame = 0;
  const began = performance.now();
  const step = (now: number): void => {
    const time = Math.min(1, Math.max(0, (now - began) / TAKES_MS));
    stage.look(time < 1 ? between(from, to, stage.screen, ease(time)) : to, time === 1);
    if (time < 1) frame = requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
}

function ease(time: number): number {
  return 1 - (1 - time) ** 3;
}

/** Scales by factors, and moves what is in the middle of the screen along a straight line. */
export function between(from: View, to: View, screen: { width: number; height: number }, part: number): View {
  const scale = from.scale * (to.scale / from.scale) ** part;
  const along = (offset: "x" | "y", middle: number): number => {
    const [start, end] = [(middle - from[offset]) / from.scale, (middle - to[offset]) / to.scale];
    const done = from.scale === to.scale ? part : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
    return middle - (start + (end - start) * done) * scale;
  };
  return { scale, x: along("x", screen.width / 2), y: along("y", screen.height / 2) };
}
